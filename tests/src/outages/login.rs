//! When a broker accepts logins, seen by a client that is none of ours.

use std::io;
use std::time::{Duration, Instant};

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::wire::{HEADER, Login, encode};

/// How often a login begins.
const EVERY: Duration = Duration::from_millis(25);
/// How long one may take; those that began in the outage may never end.
const LIMIT: Duration = Duration::from_secs(1);

/// Tries to log in again and again, to `host:port` with the user and the vhost of `url`, and returns when it first succeeded.
pub(super) async fn first(address: &str, url: &str) -> Instant {
    let login = Login::new(url);
    let mut attempts = JoinSet::new();
    let mut next = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = next.tick() => {
                let (address, login) = (address.to_owned(), login.clone());
                attempts.spawn(async move { timeout(LIMIT, log_in(&address, &login)).await });
            }
            Some(ended) = attempts.join_next() => {
                if let Ok(Ok(Ok(at))) = ended {
                    return at;
                }
            }
        }
    }
}

/// Logs in, opens the vhost, and leaves.
async fn log_in(address: &str, login: &Login) -> io::Result<Instant> {
    use connection::AMQPMethod as Method;
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(HEADER).await?;
    loop {
        let answer = match read(&mut socket).await? {
            Method::Start(_) => encode(&method(Method::StartOk(login.start_ok()))),
            Method::Tune(tune) => {
                let tune_ok = connection::TuneOk {
                    channel_max: tune.channel_max,
                    frame_max: tune.frame_max,
                    heartbeat: 0,
                };
                let open = connection::Open { virtual_host: login.vhost.as_str().into() };
                [encode(&method(Method::TuneOk(tune_ok))), encode(&method(Method::Open(open)))].concat()
            }
            Method::OpenOk(_) => {
                let at = Instant::now();
                let close = connection::Close { reply_code: 200, ..connection::Close::default() };
                // It is open: how it ends matters to nobody.
                let _ = socket.write_all(&encode(&method(Method::Close(close)))).await;
                let _ = read(&mut socket).await;
                return Ok(at);
            }
            other => return Err(io::Error::other(format!("no login: {other:?}"))),
        };
        socket.write_all(&answer).await?;
    }
}

const fn method(method: connection::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(0, AMQPClass::Connection(method))
}

async fn read(socket: &mut TcpStream) -> io::Result<connection::AMQPMethod> {
    let mut bytes = vec![0; 7];
    socket.read_exact(&mut bytes).await?;
    let [.., a, b, c, d] = bytes[..] else { unreachable!("seven bytes were read") };
    let rest = u64::from(u32::from_be_bytes([a, b, c, d])) + 1;
    if socket.take(rest).read_to_end(&mut bytes).await? as u64 != rest {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match parse_frame(&bytes[..]) {
        Ok((_, AMQPFrame::Method(_, AMQPClass::Connection(method)))) => Ok(method),
        _ => Err(io::Error::other("no method of a login")),
    }
}
