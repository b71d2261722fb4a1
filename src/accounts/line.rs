//! A fair line: addresses and accounts take turns, however many items each of them has in it.
//!
//! Items are served round by round. Each address, and each account, has at most one item in a round, so a crowd of
//! either fills the rounds to come and not the next one. When the line is full, the item that would be served last
//! leaves it: an item of the largest crowd.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::kernel::sid::AccountSid;

pub struct Line<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
    most: usize,
}

struct Queue<T> {
    waiting: BTreeMap<Place, Item<T>>,
    parties: HashMap<Party, Share>,
    /// The round of the item that was served last.
    round: u64,
    /// How many came so far.
    arrivals: u64,
    closed: bool,
}

/// A round, and who came when within it.
type Place = (u64, u64);

struct Item<T> {
    parties: [Party; 2],
    item: T,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Party {
    Address(IpAddr),
    Account(AccountSid),
}

/// What an address or account has in the line.
struct Share {
    items: usize,
    /// The last round that it has an item in.
    round: u64,
}

/// A place in the line, given up when this is dropped.
pub struct Ticket<'a, T> {
    line: &'a Line<T>,
    place: Place,
}

impl<T> Line<T> {
    /// A line for so many items.
    pub fn new(most: usize) -> Self {
        let (waiting, parties) = (BTreeMap::new(), HashMap::new());
        let queue = Queue { waiting, parties, round: 0, arrivals: 0, closed: false };
        Self { queue: Mutex::new(queue), changed: Condvar::new(), most }
    }

    /// Puts an item into the line. The item that finds no room, be it this or another, is dropped.
    pub fn join(&self, address: IpAddr, account: AccountSid, item: T) -> Ticket<'_, T> {
        let mut queue = self.queue();
        let place = queue.insert([Party::Address(address), Party::Account(account)], item);
        let last = queue.waiting.last_key_value().map(|(last, _)| *last);
        let left = last.filter(|_| queue.waiting.len() > self.most).and_then(|last| queue.remove(last));
        drop(queue);
        drop(left);
        self.changed.notify_one();
        Ticket { line: self, place }
    }

    /// Waits for the next item; there is none when the line is closed.
    pub fn next(&self) -> Option<T> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some((first, _)) = queue.waiting.first_key_value() {
                let first = *first;
                queue.round = first.0;
                return queue.remove(first);
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
        self.queue().waiting.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Queue<T> {
    fn insert(&mut self, parties: [Party; 2], item: T) -> Place {
        let next = parties.iter().filter_map(|party| self.parties.get(party)).map(|share| share.round + 1).max();
        let round = next.unwrap_or_default().max(self.round);
        for party in parties {
            let share = self.parties.entry(party).or_insert(Share { items: 0, round });
            share.items += 1;
            share.round = round;
        }
        self.arrivals += 1;
        let place = (round, self.arrivals);
        self.waiting.insert(place, Item { parties, item });
        place
    }

    fn remove(&mut self, place: Place) -> Option<T> {
        let Item { parties, item } = self.waiting.remove(&place)?;
        for party in parties {
            if let Some(share) = self.parties.get_mut(&party) {
                share.items -= 1;
                if share.items == 0 {
                    self.parties.remove(&party);
                }
            }
        }
        Some(item)
    }
}

impl<T> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        // Not there any more where it was served or had to leave. Dropped after the lock is free.
        let _left = self.line.queue().remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn addresses_and_accounts_take_turns() {
        let (line, attacked) = (Line::new(9), AccountSid::random());
        let mut tickets: Vec<_> = (0..3).map(|n| line.join(address(1), AccountSid::random(), n)).collect();
        tickets.extend((3..6).map(|n| line.join(address(n), attacked, n)));
        tickets.push(line.join(address(9), AccountSid::random(), 9));
        let served: Vec<_> = (0..7).filter_map(|_| line.next()).collect();
        assert_eq!(served, [0, 3, 9, 1, 4, 2, 5]);
        // Who has waited before has no advantage, and no disadvantage.
        tickets.push(line.join(address(1), attacked, 7));
        tickets.push(line.join(address(2), AccountSid::random(), 8));
        assert_eq!((line.next(), line.next()), (Some(7), Some(8)));
    }

    #[test]
    fn when_it_is_full_the_largest_crowd_loses_an_item() {
        let line = Line::new(3);
        let item = std::sync::Arc::new(());
        let crowd: Vec<_> = (0..5).map(|_| line.join(address(1), AccountSid::random(), item.clone())).collect();
        assert_eq!((line.len(), std::sync::Arc::strong_count(&item)), (3, 4));
        let other = std::sync::Arc::new(());
        let _other = line.join(address(2), AccountSid::random(), other.clone());
        assert_eq!((line.len(), std::sync::Arc::strong_count(&item), std::sync::Arc::strong_count(&other)), (3, 3, 2));
        drop(crowd);
        assert_eq!((line.len(), std::sync::Arc::strong_count(&item)), (1, 1));
        assert!(line.next().is_some_and(|next| std::sync::Arc::ptr_eq(&next, &other)));
        assert!(line.queue().parties.is_empty(), "nobody is remembered who does not wait");
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
