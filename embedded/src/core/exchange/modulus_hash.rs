//! `x-modulus-hash`: the hash of the routing keys modulo the number of bindings. In the core since 4.3.
//!
//! `rabbit_exchange_type_modulus_hash.erl`; <https://github.com/rabbitmq/rabbitmq-server/tree/main/deps/rabbitmq_sharding>

use std::sync::Arc;

use super::{Binding, Destination, Route, phash2};
use crate::core::Message;

/// The destinations, sorted, so that the order of binding does not matter.
#[derive(Debug, Default)]
pub(super) struct ModulusHash {
    bindings: Vec<Arc<Binding>>,
}

impl Route for ModulusHash {
    fn add(&mut self, binding: &Arc<Binding>) {
        let index = self.bindings.partition_point(|known| known.destination <= binding.destination);
        self.bindings.insert(index, Arc::clone(binding));
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        self.bindings.retain(|known| !Arc::ptr_eq(known, binding));
    }

    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        let hash = phash2::binaries(message.keys().map(|key| &**key)) as usize;
        if let Some(index) = hash.checked_rem(self.bindings.len()) {
            to(&self.bindings[index].destination);
        }
    }
}
