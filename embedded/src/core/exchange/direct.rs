//! `direct`: the routing key is the binding's key. <https://www.rabbitmq.com/docs/exchanges#direct>

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, Destination, Route};
use crate::core::{Key, Message, text};

/// Bindings by their key.
#[derive(Debug, Default)]
pub(super) struct Direct {
    by_key: HashMap<Key, Vec<Arc<Binding>>>,
}

impl Route for Direct {
    fn add(&mut self, binding: &Arc<Binding>) {
        self.by_key.entry(text::key(&binding.key)).or_default().push(Arc::clone(binding));
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        if let Some(bindings) = self.by_key.get_mut(binding.key.as_bytes()) {
            bindings.retain(|known| !Arc::ptr_eq(known, binding));
            if bindings.is_empty() {
                self.by_key.remove(binding.key.as_bytes());
            }
        }
    }

    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        for key in message.keys() {
            self.by_key.get(key).into_iter().flatten().for_each(|binding| to(&binding.destination));
        }
    }
}
