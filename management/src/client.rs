//! The client.

use std::{fmt, sync::Arc};

use hyper::StatusCode;
use serde::de::DeserializeOwned;

use crate::{
    ManagementConfig, ManagementError, Observed, ObservedBinding, ObservedBroker, ObservedChannel,
    ObservedConnection, ObservedConsumer, ObservedExchange, ObservedNode, ObservedPolicy, ObservedQueue,
    ObservedVhost, form, http::Api, page, path::Path,
};

/// Reads the management API of one broker.
///
/// A handle: clones share one connection, which is kept for 30 s between requests and belongs to the runtime in which it was
/// opened; requests at the same time open more.
/// Every method fails with a [`ManagementError`], after [`ManagementConfig::timeout`] at the latest for each request that it sends;
/// its documentation says where it sends more than one. Every method is cancel safe: nothing is changed anywhere, and a dropped call
/// closes its connection.
#[derive(Clone)]
pub struct Management {
    api: Arc<Api>,
}

// === impl Management ===

impl Management {
    /// Makes a client without asking anybody.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is wrong.
    pub fn new(
        config: impl TryInto<ManagementConfig, Error: Into<ManagementError>>,
    ) -> Result<Self, ManagementError> {
        let config = config.try_into().map_err(Into::into)?;
        Ok(Self { api: Arc::new(Api::new(&config)?) })
    }

    /// Makes a client and reads once who answers, so that a wrong address or password shows here.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is wrong, nobody answers, or the user is refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(
        config: impl TryInto<ManagementConfig, Error: Into<ManagementError>>,
    ) -> Result<Self, ManagementError> {
        let management = Self::new(config)?;
        management.overview().await?;
        Ok(management)
    }

    /// Reads all of a vhost: the broker, and exchanges, queues, bindings and policies. It sends one request after the other, at least seven.
    ///
    /// # Errors
    ///
    /// Fails if one of the requests does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn observe(&self, vhost: &str) -> Result<Observed, ManagementError> {
        Ok(Observed {
            broker: self.broker().await?,
            vhost: self
                .api
                .get::<form::Vhost>(&format!("vhost `{vhost}`"), &Path::new(&["vhosts", vhost])?)
                .await?
                .into(),
            exchanges: self.exchanges(vhost).await?,
            queues: self.queues(vhost).await?,
            bindings: self.bindings(vhost).await?,
            policies: self.policies(vhost).await?,
        })
    }

    /// Reads what the broker says of itself, and its alarms, in two requests.
    ///
    /// # Errors
    ///
    /// Fails if one of the requests does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn broker(&self) -> Result<ObservedBroker, ManagementError> {
        Ok(ObservedBroker::new(self.overview().await?, self.alarms().await?))
    }

    /// Reads the nodes of the cluster. The user needs the tag `monitoring`.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn nodes(&self) -> Result<Vec<ObservedNode>, ManagementError> {
        self.list("the nodes of the cluster", &["nodes"]).await.map(into::<form::Node, _>)
    }

    /// Reads a vhost; `None` if there is none of this name.
    ///
    /// # Errors
    ///
    /// Fails if the request does, or if the API cannot address the name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn vhost(&self, vhost: &str) -> Result<Option<ObservedVhost>, ManagementError> {
        let object = format!("vhost `{vhost}`");
        let found: Option<form::Vhost> = self.api.find(&object, &Path::new(&["vhosts", vhost])?).await?;
        Ok(found.map(Into::into))
    }

    /// Reads the exchanges of a vhost, in one request for each 500 of them.
    ///
    /// # Errors
    ///
    /// Fails if a request does, or if the list does not stand still while it is read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn exchanges(&self, vhost: &str) -> Result<Vec<ObservedExchange>, ManagementError> {
        let object = format!("the exchanges of vhost `{vhost}`");
        let path = Path::new(&["exchanges", vhost])?;
        page::list(&self.api, &object, &path).await.map(into::<form::Exchange, _>)
    }

    /// Reads the queues of a vhost, in one request for each 500 of them.
    ///
    /// # Errors
    ///
    /// Fails if a request does, or if the list does not stand still while it is read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn queues(&self, vhost: &str) -> Result<Vec<ObservedQueue>, ManagementError> {
        let object = format!("the queues of vhost `{vhost}`");
        page::list(&self.api, &object, &Path::new(&["queues", vhost])?).await.map(into::<form::Queue, _>)
    }

    /// Reads a queue; `None` if there is none of this name, or no such vhost.
    ///
    /// # Errors
    ///
    /// Fails if the request does, or if the API cannot address the name: [`queues`](Self::queues) has it nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn queue(&self, vhost: &str, queue: &str) -> Result<Option<ObservedQueue>, ManagementError> {
        let object = format!("queue `{queue}` of vhost `{vhost}`");
        let found: Option<form::Queue> =
            self.api.find(&object, &Path::new(&["queues", vhost, queue])?).await?;
        Ok(found.map(Into::into))
    }

    /// Reads the bindings of a vhost, without those of the default exchange.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn bindings(&self, vhost: &str) -> Result<Vec<ObservedBinding>, ManagementError> {
        let object = format!("the bindings of vhost `{vhost}`");
        let mut found: Vec<form::Binding> = self.list(&object, &["bindings", vhost]).await?;
        found.retain(|binding| !binding.source.is_empty());
        Ok(into(found))
    }

    /// Reads the policies of a vhost.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn policies(&self, vhost: &str) -> Result<Vec<ObservedPolicy>, ManagementError> {
        let object = format!("the policies of vhost `{vhost}`");
        self.list(&object, &["policies", vhost]).await.map(into::<form::Policy, _>)
    }

    /// Reads the open connections to a vhost.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connections(&self, vhost: &str) -> Result<Vec<ObservedConnection>, ManagementError> {
        let object = format!("the connections to vhost `{vhost}`");
        self.list(&object, &["vhosts", vhost, "connections"]).await.map(into::<form::Connection, _>)
    }

    /// Reads the open channels of a vhost.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn channels(&self, vhost: &str) -> Result<Vec<ObservedChannel>, ManagementError> {
        let object = format!("the channels of vhost `{vhost}`");
        self.list(&object, &["vhosts", vhost, "channels"]).await.map(into::<form::Channel, _>)
    }

    /// Reads the consumers of a vhost.
    ///
    /// # Errors
    ///
    /// Fails if the request does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn consumers(&self, vhost: &str) -> Result<Vec<ObservedConsumer>, ManagementError> {
        let object = format!("the consumers of vhost `{vhost}`");
        self.list(&object, &["consumers", vhost]).await.map(into::<form::Consumer, _>)
    }

    async fn overview(&self) -> Result<form::Overview, ManagementError> {
        self.api.get("what the broker says of itself", &Path::new(&["overview"])?).await
    }

    /// A health check that fails answers with status 503 and says why.
    async fn alarms(&self) -> Result<form::Alarms, ManagementError> {
        let (object, path) = ("the alarms of the broker", Path::new(&["health", "checks", "alarms"])?);
        match self.api.send(object, &path).await? {
            (StatusCode::OK, _) => Ok(form::Alarms { alarms: Vec::new() }),
            (StatusCode::SERVICE_UNAVAILABLE, body) => self.api.read(object, &path, &body),
            (status, body) => Err(self.api.refusal(object, &path, status, &body)),
        }
    }

    /// Reads a list that does not come in pages.
    async fn list<T: DeserializeOwned>(
        &self,
        object: &str,
        parts: &[&str],
    ) -> Result<Vec<T>, ManagementError> {
        self.api.get(object, &Path::new(parts)?).await
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Management({})", self.api.base())
    }
}

fn into<F, T: From<F>>(forms: Vec<F>) -> Vec<T> {
    forms.into_iter().map(T::from).collect()
}
