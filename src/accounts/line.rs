//! A fair line: addresses take turns, and within an address the accounts do, however many items each of them has in it.
//!
//! So a crowd delays itself first: who comes from elsewhere passes it, and who comes from the same address for another
//! account passes it too. When the line is full, the largest crowd loses the item that it would have served last.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::values::sid::AccountSid;

pub struct Line<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
    most: usize,
}

struct Queue<T> {
    /// Every address that has items, the next one first.
    turns: VecDeque<IpAddr>,
    crowds: HashMap<IpAddr, Crowd<T>>,
    len: usize,
    /// How many came so far.
    arrivals: u64,
    closed: bool,
}

/// The items that wait from one address, served round by round. An account has at most one item in a round: its second
/// one is in the next round.
struct Crowd<T> {
    items: BTreeMap<Place, (AccountSid, T)>,
    /// How many items an account has here, and the round of its last one.
    accounts: HashMap<AccountSid, (usize, u64)>,
    /// The round of the item that was served last.
    round: u64,
}

/// A round, and who came when within it.
type Place = (u64, u64);

/// A place in the line, given up when this is dropped.
pub struct Ticket<'a, T> {
    line: &'a Line<T>,
    address: IpAddr,
    place: Place,
}

impl<T> Line<T> {
    /// A line for so many items.
    pub fn new(most: usize) -> Self {
        let queue = Queue { turns: VecDeque::new(), crowds: HashMap::new(), len: 0, arrivals: 0, closed: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new(), most }
    }

    /// Puts an item into the line. The item that finds no room, be it this or another, is dropped.
    pub fn join(&self, address: IpAddr, account: AccountSid, item: T) -> Ticket<'_, T> {
        let mut queue = self.queue();
        let place = queue.insert(address, account, item);
        let left = if queue.len > self.most { queue.remove_last(address) } else { None };
        drop(queue);
        drop(left);
        self.changed.notify_one();
        Ticket { line: self, address, place }
    }

    /// Waits for the next item; there is none when the line is closed.
    pub fn next(&self) -> Option<T> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(item) = queue.serve() {
                return Some(item);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all waiting for items.
    pub fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }

    pub fn len(&self) -> usize {
        self.queue().len
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Queue<T> {
    fn insert(&mut self, address: IpAddr, account: AccountSid, item: T) -> Place {
        let crowd = self.crowds.entry(address).or_insert_with(|| {
            self.turns.push_back(address);
            Crowd { items: BTreeMap::new(), accounts: HashMap::new(), round: 0 }
        });
        let (items, last) = crowd.accounts.entry(account).or_default();
        let round = if *items == 0 { crowd.round } else { crowd.round.max(*last + 1) };
        (*items, *last) = (*items + 1, round);
        self.arrivals += 1;
        self.len += 1;
        crowd.items.insert((round, self.arrivals), (account, item));
        (round, self.arrivals)
    }

    /// Takes out the next item of the address whose turn it is.
    fn serve(&mut self) -> Option<T> {
        let address = *self.turns.front()?;
        self.turns.rotate_left(1);
        let crowd = self.crowds.get_mut(&address)?;
        let place = *crowd.items.first_key_value()?.0;
        crowd.round = place.0;
        self.remove(address, place)
    }

    /// Takes out the last item of the largest crowd, in doubt of this address.
    fn remove_last(&mut self, address: IpAddr) -> Option<T> {
        let size = |address| self.crowds.get(&address).map_or(0, |crowd| crowd.items.len());
        let largest = self.crowds.keys().copied().max_by_key(|other| size(*other))?;
        let address = if size(largest) > size(address) { largest } else { address };
        let place = *self.crowds.get(&address)?.items.last_key_value()?.0;
        self.remove(address, place)
    }

    fn remove(&mut self, address: IpAddr, place: Place) -> Option<T> {
        let crowd = self.crowds.get_mut(&address)?;
        let (account, item) = crowd.items.remove(&place)?;
        if let Some((items, _)) = crowd.accounts.get_mut(&account) {
            *items -= 1;
            if *items == 0 {
                crowd.accounts.remove(&account);
            }
        }
        self.len -= 1;
        if crowd.items.is_empty() {
            self.crowds.remove(&address);
            self.turns.retain(|other| *other != address);
        }
        Some(item)
    }
}

impl<T> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        // It is there no more where it was served or had to leave. Dropped after the lock is free.
        let _left = self.line.queue().remove(self.address, self.place);
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
        let (line, [a, b, c]) = (Line::new(9), [(); 3].map(|()| AccountSid::random()));
        let came = [(1, a), (1, a), (1, b), (2, c), (2, c), (3, c)];
        let mut tickets: Vec<_> =
            came.iter().enumerate().map(|(n, (from, account))| line.join(address(*from), *account, n)).collect();
        let served: Vec<_> = (0..4).filter_map(|_| line.next()).collect();
        assert_eq!(served, [0, 3, 5, 2]);
        // Who was served before comes after those who wait, and before another one's crowd.
        tickets.push(line.join(address(3), a, 6));
        tickets.push(line.join(address(1), b, 7));
        let served: Vec<_> = (0..4).filter_map(|_| line.next()).collect();
        assert_eq!(served, [4, 7, 6, 1]);
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn when_it_is_full_the_largest_crowd_loses_an_item() {
        let line = Line::new(3);
        let (item, other) = (Arc::new(()), Arc::new(()));
        let crowd: Vec<_> = (0..5).map(|_| line.join(address(1), AccountSid::random(), item.clone())).collect();
        assert_eq!((line.len(), Arc::strong_count(&item)), (3, 4));
        let others = [2, 3].map(|from| line.join(address(from), AccountSid::random(), other.clone()));
        assert_eq!((line.len(), Arc::strong_count(&item), Arc::strong_count(&other)), (3, 2, 3));
        // Among equals it is the one who came last.
        let _last = line.join(address(4), AccountSid::random(), item.clone());
        assert_eq!((line.len(), Arc::strong_count(&item)), (3, 2));
        drop(crowd);
        assert_eq!((line.len(), Arc::strong_count(&item)), (2, 1));
        drop(others);
        let queue = line.queue();
        assert!(queue.crowds.is_empty() && queue.turns.is_empty() && queue.len == 0, "nobody is left behind");
    }

    #[test]
    fn a_closed_line_ends_the_waiting() {
        let line = Line::<()>::new(1);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| line.next());
            line.close();
            assert_eq!(waits.join().expect("it ends"), None);
        });
    }
}
