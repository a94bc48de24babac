//! How much of each quota is taken, counted with the decisions: what was decided counts, seen by others or not.
//!
//! There is a book for each namespace that has quotas, and none for the others. It is opened anew from all objects
//! when a quota changes, and after a start (two thirds of a second for 10,000 pods in a debug build); from then on each
//! decided write posts what it changes, so no create walks over pods. The charge of each object is remembered: what is given back is what was taken.
//!
//! Nothing is ever taken back of what was posted: a commit that fails ends the controller, and the next start counts
//! what is on the disk.

use super::commit::{Head, Id, id_of};
use crate::{
    cache::{Cache, ChangeKind},
    object::Object,
};
use coracle_api::{
    Key, KindRef, StatusError, kind,
    quota::{Book, Charge, tracks},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// A namespace's book and who is in it.
#[derive(Debug)]
struct Account {
    book: Book,
    charges: HashMap<Id, Charge>,
    /// When charges have to be worked out anew.
    ends: BTreeSet<(Timestamp, Key)>,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By namespace; none: to be opened anew.
    accounts: HashMap<String, Option<Account>>,
}

/// A decided write, not yet an object.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    pub(super) kind: KindRef,
    pub(super) id: &'a Id,
    pub(super) current: Option<&'a Object>,
    pub(super) does: ChangeKind,
    pub(super) value: &'a Value,
}

/// What a write changes in the books.
#[derive(Debug, Default)]
pub(super) struct Posting {
    /// What it takes now, if its namespace has a book.
    after: Option<Charge>,
    /// It changes what is allowed.
    reopens: bool,
}

/// How much of a quota is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUsage {
    /// By resource, as one prints it.
    pub used: BTreeMap<String, String>,
    /// When it changes without a write.
    pub until: Option<Timestamp>,
}

impl Ledger {
    /// For the namespaces that have quotas.
    pub(super) fn new(cache: &Cache) -> Self {
        let quotas = cache.list(kind::RESOURCE_QUOTA, None);
        let namespaces = quotas.iter().map(|quota| quota.key.namespace.clone());
        Self {
            accounts: namespaces.map(|namespace| (namespace, None)).collect(),
        }
    }

    /// Posts a write that was weighed.
    pub(super) fn post(&mut self, id: &Id, posting: Posting) {
        let namespace = &id.2.namespace;
        if posting.reopens {
            self.accounts.insert(namespace.clone(), None);
            return;
        }
        let account = self.accounts.get_mut(namespace).and_then(Option::as_mut);
        if let (Some(account), Some(after)) = (account, posting.after) {
            account.set(id, after);
        }
    }
}

impl Account {
    fn charge_of(&self, id: &Id) -> Charge {
        self.charges.get(id).cloned().unwrap_or_default()
    }

    fn set(&mut self, id: &Id, after: Charge) {
        let before = self.charges.remove(id).unwrap_or_default();
        self.book.post(&before, &after);
        if let Some(end) = before.until() {
            self.ends.remove(&(end, id.2.clone()));
        }
        if let Some(end) = after.until() {
            self.ends.insert((end, id.2.clone()));
        }
        if !after.is_empty() {
            self.charges.insert(id.clone(), after);
        }
    }
}

impl Head {
    /// What a decided write takes, if there is room for it.
    pub(super) fn weigh(
        &mut self,
        cache: &Cache,
        write: &Decided<'_>,
        now: Timestamp,
    ) -> Result<Posting, StatusError> {
        let namespace = &write.id.2.namespace;
        let reopens = write.kind == kind::RESOURCE_QUOTA && write.changes_spec();
        let Some(account) = self.account(cache, namespace, now) else {
            return Ok(Posting {
                after: None,
                reopens,
            });
        };
        let (of, value) = (write.kind, write.value);
        let before = account.charge_of(write.id);
        let after = match write.does {
            ChangeKind::Deleted => Charge::default(),
            ChangeKind::Added | ChangeKind::Modified => account.book.charge(of, value, now),
        };
        if write.is_checked() {
            let refused =
                |why: String| StatusError::forbidden(of.storage(), &write.id.2.name, &why);
            account
                .book
                .check((of, value), &before, &after)
                .map_err(refused)?;
        }
        Ok(Posting {
            after: Some(after),
            reopens,
        })
    }

    /// How much of a quota is taken.
    pub(super) fn quota_usage(
        &mut self,
        cache: &Cache,
        quota: &Key,
        now: Timestamp,
    ) -> Option<QuotaUsage> {
        let kinds = cache.kinds().stored();
        let is_known = |resource: &str| {
            !resource.starts_with("count/") || kinds.iter().any(|kind| tracks(kind, resource))
        };
        let account = self.account(cache, &quota.namespace, now)?;
        let used = account.book.used(&quota.name, is_known)?;
        let printed = used
            .into_iter()
            .map(|(name, amount)| (name, amount.to_string()));
        Some(QuotaUsage {
            used: printed.collect(),
            until: account.ends.first().map(|(end, _)| *end),
        })
    }

    /// A namespace's account as of now; none where there are no quotas.
    fn account(&mut self, cache: &Cache, namespace: &str, now: Timestamp) -> Option<&mut Account> {
        let slot = self.ledger.accounts.get_mut(namespace)?.take();
        let account = match slot {
            Some(account) => self.pass_time(cache, account, now),
            None => self.open_account(cache, namespace, now),
        };
        let Some(account) = account else {
            self.ledger.accounts.remove(namespace);
            return None;
        };
        let slot = self.ledger.accounts.get_mut(namespace)?;
        Some(slot.insert(account))
    }

    /// Counts everything in a namespace.
    fn open_account(&self, cache: &Cache, namespace: &str, now: Timestamp) -> Option<Account> {
        let quotas = self.objects(cache, kind::RESOURCE_QUOTA, namespace);
        if quotas.is_empty() {
            return None;
        }
        let quotas: Vec<(String, Value)> = quotas
            .into_iter()
            .map(|(key, quota)| (key.name, quota.value()))
            .collect();
        let quotas = quotas.iter().map(|(name, value)| (name.as_str(), value));
        let mut account = Account {
            book: Book::new(quotas),
            charges: HashMap::new(),
            ends: BTreeSet::new(),
        };
        for of in cache.kinds().stored() {
            if !of.namespaced || !account.book.counts(of) {
                continue;
            }
            for (key, object) in self.objects(cache, of, namespace) {
                let charge = account.book.charge(of, &object.value(), now);
                account.set(&id_of(of, &key), charge);
            }
        }
        Some(account)
    }

    /// Pods that outstayed their end take less.
    fn pass_time(&self, cache: &Cache, mut account: Account, now: Timestamp) -> Option<Account> {
        while let Some((end, key)) = account.ends.first().cloned() {
            if end >= now {
                break;
            }
            account.ends.remove(&(end, key.clone()));
            let id = id_of(kind::POD, &key);
            if let Some(pod) = self.newest(cache, kind::POD, &id) {
                let charge = account.book.charge(kind::POD, &pod.value(), now);
                account.set(&id, charge);
            }
        }
        Some(account)
    }

    /// The newest state of every object of a kind in a namespace.
    fn objects(&self, cache: &Cache, of: KindRef, namespace: &str) -> BTreeMap<Key, Arc<Object>> {
        let shown = cache.list_stored(of, Some(namespace));
        let mut all: BTreeMap<Key, Arc<Object>> = shown
            .into_iter()
            .map(|object| (object.key.clone(), object))
            .collect();
        for (id, newest) in self.under_way() {
            if (id.0, id.1) != (of.group, of.plural) || id.2.namespace != namespace {
                continue;
            }
            match newest {
                Some(object) => all.insert(id.2.clone(), Arc::clone(object)),
                None => all.remove(&id.2),
            };
        }
        all
    }
}

impl Decided<'_> {
    /// As upstream: new objects, and the two kinds whose updates may take more. A status takes what it takes.
    fn is_checked(&self) -> bool {
        match self.does {
            ChangeKind::Added => true,
            ChangeKind::Modified => {
                let grows =
                    self.kind == kind::SERVICE || self.kind == kind::PERSISTENT_VOLUME_CLAIM;
                grows && self.changes_spec()
            }
            ChangeKind::Deleted => false,
        }
    }

    fn changes_spec(&self) -> bool {
        let before = self.current.map(Object::value).unwrap_or_default();
        self.does != ChangeKind::Modified || before["spec"] != self.value["spec"]
    }
}
