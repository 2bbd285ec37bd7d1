//! The methods that a client sends, and what answers them.

use amq_protocol::protocol::{AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx};

/// A method, of whichever class.
pub trait Method {
    /// Wraps the method in its class.
    fn class(self) -> AMQPClass;
}

impl Method for AMQPClass {
    fn class(self) -> AMQPClass {
        self
    }
}

/// A method that the broker answers with one of its own.
pub trait Call: Method {
    /// The method that answers.
    type Answer;

    /// Returns the answer if this is one.
    fn answer(class: AMQPClass) -> Option<Self::Answer>;

    /// Tells whether this answers.
    fn is_answer(class: &AMQPClass) -> bool;
}

macro_rules! methods {
    ($($class:ident $module:ident { $($method:ident $(=> $answer:ident)?),+ $(,)? })+) => {$($(
        impl Method for $module::$method {
            fn class(self) -> AMQPClass {
                AMQPClass::$class($module::AMQPMethod::$method(self))
            }
        }

        $(
            impl Call for $module::$method {
                type Answer = $module::$answer;

                fn answer(class: AMQPClass) -> Option<Self::Answer> {
                    match class {
                        AMQPClass::$class($module::AMQPMethod::$answer(answer)) => Some(answer),
                        _ => None,
                    }
                }

                fn is_answer(class: &AMQPClass) -> bool {
                    matches!(class, AMQPClass::$class($module::AMQPMethod::$answer(_)))
                }
            }
        )?
    )+)+};
}

methods! {
    Access access { Request => RequestOk }
    Basic basic {
        Qos => QosOk, Consume => ConsumeOk, Cancel => CancelOk, Get, Publish, Ack, Nack, Reject,
        Recover => RecoverOk, RecoverAsync, Deliver, CancelOk, GetEmpty, QosOk,
    }
    Channel channel { Open => OpenOk, Close => CloseOk, Flow => FlowOk, OpenOk, CloseOk, FlowOk }
    Confirm confirm { Select => SelectOk, SelectOk }
    Connection connection {
        StartOk => Tune, SecureOk, TuneOk, Open => OpenOk, Close => CloseOk, CloseOk, UpdateSecret => UpdateSecretOk,
        Blocked, Unblocked, Start, Tune,
    }
    Exchange exchange { Declare => DeclareOk, Delete => DeleteOk, Bind => BindOk, Unbind => UnbindOk, DeclareOk }
    Queue queue {
        Declare => DeclareOk, Delete => DeleteOk, Bind => BindOk, Unbind => UnbindOk, Purge => PurgeOk, DeclareOk,
    }
    Tx tx { Select => SelectOk, Commit => CommitOk, Rollback => RollbackOk }
}
