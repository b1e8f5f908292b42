//! Objects that we write: the newest version known, be it by acknowledgement or by watch. Decides only which is newer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Key;

/// An object as it comes from the API server.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// Its namespace and name.
    pub key: Key,
    /// What it says; `None` if that is of no use to us.
    pub value: Option<T>,
}

/// An object with a version.
pub trait Versioned {
    /// Its UID.
    fn uid(&self) -> &str;
    /// Its resourceVersion.
    fn resource_version(&self) -> &str;
}

/// The newest version of each object.
pub struct Written<T> {
    items: BTreeMap<Key, Arc<T>>,
    // The UID of what we deleted last under a key: a watch may still deliver older versions of it, which must not come back
    // to life.
    buried: BTreeMap<Key, String>,
}

impl<T> Default for Written<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), buried: BTreeMap::new() }
    }
}

impl<T: Versioned> Written<T> {
    /// Takes a version. Returns what it replaces (`None` if nothing), or `Err` if it is older than what is known.
    pub fn put(&mut self, key: &Key, item: T, listed: bool) -> Result<Option<Arc<T>>, Older> {
        if !listed {
            let older = self.items.get(key).is_some_and(|known| is_older(&item, known.as_ref()));
            if older || self.buried.get(key).is_some_and(|uid| uid == item.uid()) {
                return Err(Older);
            }
        }
        Ok(self.items.insert(key.clone(), Arc::new(item)))
    }

    /// Forgets an object.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        self.items.remove(key)
    }

    /// We deleted the object of this key and UID: no version of it is taken any more.
    pub fn bury(&mut self, key: &Key, uid: &str) {
        self.buried.insert(key.clone(), uid.to_owned());
    }

    /// The watch tells of the deletion of `item`. Returns whether that is news: the object may have been deleted by us, and
    /// even created anew, before the watch came so far.
    pub fn gone(&mut self, item: &Item<T>) -> bool {
        let Some(gone) = &item.value else { return true };
        if self.buried.get(&item.key).is_some_and(|uid| uid == gone.uid()) {
            self.buried.remove(&item.key);
        }
        self.items.get(&item.key).is_some_and(|known| known.uid() == gone.uid())
    }

    /// The object of this key.
    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.items.get(key)
    }

    /// Objects from this key on, in order.
    pub fn from(&self, key: &Key) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.items.range(key.clone()..)
    }

    /// Every object, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.items.values()
    }

    /// Every key, in order.
    pub fn keys(&self) -> Vec<Key> {
        self.items.keys().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }
}

/// The version is older than what is known.
#[derive(Debug)]
pub struct Older;

/// Resource versions of one kind can be compared as numbers (KEP-5504; before it by all stores in use). What is no number is
/// taken as newer.
fn is_older<T: Versioned>(item: &T, known: &T) -> bool {
    let number = |item: &T| item.resource_version().parse::<u128>().ok();
    match (number(item), number(known)) {
        (Some(new), Some(old)) => new < old,
        (_, _) => false,
    }
}
