//! Values that layers hand to what is inside of them, one of each type.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

type Values = HashMap<TypeId, (&'static str, Box<dyn Any + Send + Sync>)>;

/// Values that layers hand to what is inside of them, and handlers to what is outside: one of each type, for one delivery.
///
/// # Examples
///
/// ```
/// use garenne_consumer::Extensions;
///
/// #[derive(Debug, Clone, PartialEq)]
/// struct Tenant(String);
///
/// let extensions = Extensions::default();
/// assert_eq!(extensions.insert(Tenant("mine".to_owned())), None);
/// assert_eq!(extensions.get::<Tenant>(), Some(Tenant("mine".to_owned())));
/// assert_eq!(extensions.get::<u32>(), None);
/// ```
#[derive(Default)]
pub struct Extensions {
    /// Held for a look-up and never across an await.
    values: Mutex<Values>,
}

// === impl Extensions ===

impl Extensions {
    /// Puts a value in, and returns the one of this type that was there before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let value = (type_name::<T>(), Box::new(value) as Box<dyn Any + Send + Sync>);
        let before = self.lock().insert(TypeId::of::<T>(), value);
        before.and_then(|(_, before)| before.downcast().ok()).map(|before| *before)
    }

    /// Returns a copy of the value of this type; wrap what is not to be copied in an `Arc`.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().get(&TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref()).cloned()
    }

    /// Takes the value of this type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<T> {
        let (_, value) = self.lock().remove(&TypeId::of::<T>())?;
        value.downcast().ok().map(|value| *value)
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().values().map(|(name, _)| name)).finish()
    }
}
