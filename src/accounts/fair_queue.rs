//! A fair queue: round robin over addresses and, within an address, over its accounts.
//!
//! So a flood from one address, or for one account, delays itself first. When the queue is full, the address with the
//! most items loses its last one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::values::sid::AccountSid;

pub struct FairQueue<T> {
    queue: Mutex<Items<T>>,
    changed: Condvar,
    capacity: usize,
}

struct Items<T> {
    /// The addresses that have items. The next one to be served is in front.
    addresses: VecDeque<IpAddr>,
    backlogs: HashMap<IpAddr, Backlog<T>>,
    len: usize,
    /// The number of items pushed so far.
    arrivals: u64,
    closed: bool,
}

/// The waiting items of one address, served round by round. A round holds at most one item of each account.
struct Backlog<T> {
    items: BTreeMap<Position, (AccountSid, T)>,
    /// The number of items of each account, and the round of its last one.
    accounts: HashMap<AccountSid, (usize, u64)>,
    /// The round of the item that was served last.
    round: u64,
}

/// The round, and the arrival number within it.
type Position = (u64, u64);

/// Removes its item from the queue when it is dropped.
pub struct Ticket<'a, T> {
    queue: &'a FairQueue<T>,
    address: IpAddr,
    position: Position,
}

impl<T> FairQueue<T> {
    /// A queue of at most `capacity` items.
    pub fn new(capacity: usize) -> Self {
        let queue = Items { addresses: VecDeque::new(), backlogs: HashMap::new(), len: 0, arrivals: 0, closed: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new(), capacity }
    }

    /// Adds an item. If the queue is full, one item is dropped: this or another.
    pub fn push(&self, address: IpAddr, account: AccountSid, item: T) -> Ticket<'_, T> {
        let mut queue = self.queue();
        let position = queue.insert(address, account, item);
        let dropped = if queue.len > self.capacity { queue.drop_one(address) } else { None };
        drop(queue);
        drop(dropped);
        self.changed.notify_one();
        Ticket { queue: self, address, position }
    }

    /// Blocks until there is an item. `None` once the queue is closed.
    pub fn pop(&self) -> Option<T> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(item) = queue.take_next() {
                return Some(item);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes all threads that wait in [`pop`](Self::pop).
    pub fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }

    pub fn len(&self) -> usize {
        self.queue().len
    }

    fn queue(&self) -> MutexGuard<'_, Items<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Items<T> {
    fn insert(&mut self, address: IpAddr, account: AccountSid, item: T) -> Position {
        let backlog = self.backlogs.entry(address).or_insert_with(|| {
            self.addresses.push_back(address);
            Backlog { items: BTreeMap::new(), accounts: HashMap::new(), round: 0 }
        });
        let (items, last) = backlog.accounts.entry(account).or_default();
        let round = if *items == 0 { backlog.round } else { backlog.round.max(*last + 1) };
        (*items, *last) = (*items + 1, round);
        self.arrivals += 1;
        self.len += 1;
        backlog.items.insert((round, self.arrivals), (account, item));
        (round, self.arrivals)
    }

    /// Removes the next item of the address in front.
    fn take_next(&mut self) -> Option<T> {
        let address = *self.addresses.front()?;
        self.addresses.rotate_left(1);
        let backlog = self.backlogs.get_mut(&address)?;
        let position = *backlog.items.first_key_value()?.0;
        backlog.round = position.0;
        self.remove(address, position)
    }

    /// Removes the last item of the address with the most items. On a tie, that of this address.
    fn drop_one(&mut self, address: IpAddr) -> Option<T> {
        let size = |address| self.backlogs.get(&address).map_or(0, |backlog| backlog.items.len());
        let largest = self.backlogs.keys().copied().max_by_key(|other| size(*other))?;
        let address = if size(largest) > size(address) { largest } else { address };
        let position = *self.backlogs.get(&address)?.items.last_key_value()?.0;
        self.remove(address, position)
    }

    fn remove(&mut self, address: IpAddr, position: Position) -> Option<T> {
        let backlog = self.backlogs.get_mut(&address)?;
        let (account, item) = backlog.items.remove(&position)?;
        if let Some((items, _)) = backlog.accounts.get_mut(&account) {
            *items -= 1;
            if *items == 0 {
                backlog.accounts.remove(&account);
            }
        }
        self.len -= 1;
        if backlog.items.is_empty() {
            self.backlogs.remove(&address);
            self.addresses.retain(|other| *other != address);
        }
        Some(item)
    }
}

impl<T> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        // The item is dropped only after the lock is released.
        let _item = self.queue.queue().remove(self.address, self.position);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn addresses_take_turns_and_within_them_accounts() {
        let (queue, [a, b, c]) = (FairQueue::new(9), [(); 3].map(|()| AccountSid::random()));
        let came = [(1, a), (1, a), (1, b), (2, c), (2, c), (3, c)];
        let mut tickets: Vec<_> =
            came.iter().enumerate().map(|(n, (from, account))| queue.push(address(*from), *account, n)).collect();
        let served: Vec<_> = (0..4).filter_map(|_| queue.pop()).collect();
        assert_eq!(served, [0, 3, 5, 2]);
        // An account that was served comes after the accounts that wait, and before another account's second item.
        tickets.push(queue.push(address(3), a, 6));
        tickets.push(queue.push(address(1), b, 7));
        let served: Vec<_> = (0..4).filter_map(|_| queue.pop()).collect();
        assert_eq!(served, [4, 7, 6, 1]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn when_it_is_full_the_address_with_most_items_loses_one() {
        let queue = FairQueue::new(3);
        let (item, other) = (Arc::new(()), Arc::new(()));
        let backlog: Vec<_> = (0..5).map(|_| queue.push(address(1), AccountSid::random(), item.clone())).collect();
        assert_eq!((queue.len(), Arc::strong_count(&item)), (3, 4));
        let others = [2, 3].map(|from| queue.push(address(from), AccountSid::random(), other.clone()));
        assert_eq!((queue.len(), Arc::strong_count(&item), Arc::strong_count(&other)), (3, 2, 3));
        // On a tie, the address that pushed last loses one.
        let _last = queue.push(address(4), AccountSid::random(), item.clone());
        assert_eq!((queue.len(), Arc::strong_count(&item)), (3, 2));
        drop(backlog);
        assert_eq!((queue.len(), Arc::strong_count(&item)), (2, 1));
        drop(others);
        let queue = queue.queue();
        assert!(queue.backlogs.is_empty() && queue.addresses.is_empty() && queue.len == 0, "nobody is left behind");
    }

    #[test]
    fn a_closed_line_ends_the_waiting() {
        let queue = FairQueue::<()>::new(1);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop());
            queue.close();
            assert_eq!(waits.join().expect("it ends"), None);
        });
    }
}
