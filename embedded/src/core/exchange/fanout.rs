//! `fanout`: every binding takes every message. <https://www.rabbitmq.com/docs/exchanges#fanout>

use std::sync::Arc;

use super::{Binding, Destination, Route};
use crate::core::Message;

/// All bindings.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    bindings: Vec<Arc<Binding>>,
}

impl Route for Fanout {
    fn add(&mut self, binding: &Arc<Binding>) {
        self.bindings.push(Arc::clone(binding));
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        self.bindings.retain(|known| !Arc::ptr_eq(known, binding));
    }

    fn route<'r>(&'r self, _message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        self.bindings.iter().for_each(|binding| to(&binding.destination));
    }
}
