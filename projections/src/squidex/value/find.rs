//! The members of an object by their keys, for those who look up many of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;

use super::key::Keys;
use super::members::{Member, Members};

/// Number of members up to which a linear search is used.
const LINEAR_MAX: usize = 64;

/// The members of an object. Looking them up in their own order costs one comparison each.
pub(in crate::squidex) struct ByKey<'a, K> {
    members: Vec<Member<'a>>,
    /// Position behind the member that was found last.
    next: usize,
    places: Option<HashMap<Cow<'a, [u8]>, usize>>,
    keys: PhantomData<K>,
}

impl<'a, K: Keys> ByKey<'a, K> {
    pub(in crate::squidex) fn new(members: Members<'a>) -> Self {
        Self { members: members.collect(), next: 0, places: None, keys: PhantomData }
    }

    /// Number of members.
    pub(in crate::squidex) fn len(&self) -> usize {
        self.members.len()
    }

    /// The member with this key.
    pub(in crate::squidex) fn find(&mut self, key: &[u8]) -> Option<Member<'a>> {
        let is_next = |member: &&Member<'_>| member.key == key;
        let at = match self.members.get(self.next).filter(is_next) {
            Some(_) => self.next,
            None if self.members.len() <= LINEAR_MAX => {
                self.members.iter().position(|member| K::are_same(member.key, key))?
            }
            None => *self.places().get(&K::folded(key))?,
        };
        self.next = at + 1;
        self.members.get(at).copied()
    }

    fn places(&mut self) -> &HashMap<Cow<'a, [u8]>, usize> {
        let members = &self.members;
        self.places.get_or_insert_with(|| {
            members.iter().enumerate().map(|(at, member)| (K::folded(member.key), at)).collect()
        })
    }
}
