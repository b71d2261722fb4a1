//! State of accounts. It exists only while a request of the account is under way, so that an idle account takes no
//! memory.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::values::sid::AccountSid;

/// A map from accounts to values that are in use. Cheap to clone.
pub struct PerAccount<T>(Arc<Mutex<HashMap<AccountSid, Arc<T>>>>);

/// An account's value. It is removed from the map with the last of these.
pub struct Held<T> {
    all: PerAccount<T>,
    account: AccountSid,
    /// `None` only while it is dropped.
    value: Option<Arc<T>>,
}

impl<T> PerAccount<T> {
    /// The account's value; a new one if none is in use.
    pub fn hold(&self, account: AccountSid, make: impl FnOnce() -> T) -> Held<T> {
        let value = Arc::clone(self.values().entry(account).or_insert_with(|| Arc::new(make())));
        Held { all: self.clone(), account, value: Some(value) }
    }

    /// The sum over all values in use.
    pub fn sum(&self, of: impl Fn(&T) -> usize) -> usize {
        self.values().values().map(|value| of(value)).sum()
    }

    fn values(&self) -> MutexGuard<'_, HashMap<AccountSid, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for PerAccount<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for PerAccount<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let mut values = self.all.values();
        // Under the lock, so that of two dropped at once the second one removes the value.
        drop(self.value.take());
        if values.get(&self.account).is_some_and(|value| Arc::strong_count(value) == 1) {
            values.remove(&self.account);
        }
    }
}

impl<T> fmt::Debug for PerAccount<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerAccount({})", self.values().len())
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.account)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_value_is_shared_and_removed_with_its_last_holder() {
        let (all, one, other) = (PerAccount::<usize>::default(), AccountSid::random(), AccountSid::random());
        let first = all.hold(one, || 1);
        let second = all.hold(one, || 2);
        let apart = all.hold(other, || 4);
        assert_eq!((*first, *second, *apart, all.sum(|value| *value)), (1, 1, 4, 5));
        drop((first, apart));
        assert_eq!((*all.hold(one, || 8), all.sum(|value| *value)), (1, 1));
        drop(second);
        assert_eq!((all.sum(|_| 1), *all.hold(one, || 16)), (0, 16));
    }

    #[test]
    fn nothing_stays_after_many_threads() {
        let (all, account) = (PerAccount::<usize>::default(), AccountSid::random());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| drop(all.hold(account, || 1))));
            }
        });
        assert_eq!(all.sum(|_| 1), 0);
    }
}
