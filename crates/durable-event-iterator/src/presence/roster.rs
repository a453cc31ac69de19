//! The members of a channel, and the changes that have not been sent to their clients. A pure state machine: times are parameters.

use crate::socket::session::MemberState;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Minimum interval between two updates, in milliseconds.
const MIN_INTERVAL_MS: u64 = 100;

/// The number of sockets per millisecond of the interval, on a large channel: each update is one message for each.
const SOCKETS_PER_MS: usize = 5;

/// Maximum number of changes that are sent after a kept list. Then the list is serialized again.
const MAX_CHANGES_SINCE_LIST: usize = 200;

/// The id of a member. A roster contains it several times.
pub(crate) type MemberId = Rc<str>;

/// The members, by id, and their sockets of type `S`.
pub(crate) struct Roster<S> {
    grace_ms: u64,
    members: BTreeMap<MemberId, Member<S>>,
    /// The members of the sockets, by the sockets' ids.
    sockets: BTreeMap<u32, MemberId>,
    /// The members with a change that has not been sent.
    unsent: BTreeSet<MemberId>,
    /// The ends of the grace periods.
    grace: BTreeSet<(u64, MemberId)>,
    /// Whether everyone is to receive the full list.
    owes_list: bool,
    /// The members that may have changed since [`mark_list`](Self::mark_list), unless they are too many.
    since_list: Option<BTreeSet<MemberId>>,
    /// The time of the last update.
    sent_ms: Option<u64>,
}

struct Member<S> {
    sockets: Vec<(u32, S)>,
    state: Option<Rc<MemberState>>,
    /// The socket whose attachment contains the state.
    stored_by: Option<u32>,
    /// The number of changes of the state.
    revision: u64,
    /// The revision that the clients know, if they know the member.
    known: Option<u64>,
    /// The end of the grace period.
    leaves_ms: Option<u64>,
}

impl<S> Member<S> {
    fn new() -> Self {
        Self { sockets: Vec::new(), state: None, stored_by: None, revision: 0, known: None, leaves_ms: None }
    }

    fn is_present(&self) -> bool {
        !self.sockets.is_empty() || self.leaves_ms.is_some()
    }

    fn is_outdated_by(&self, state: &MemberState) -> bool {
        self.state.as_ref().is_none_or(|own| own.at < state.at)
    }

    fn set_state(&mut self, state: MemberState, stored_by: Option<u32>) {
        let is_same = match &self.state {
            Some(other) => other.is_same(&state),
            None => state.json.is_none(),
        };
        if !is_same {
            self.revision = self.revision.wrapping_add(1);
        }
        (self.state, self.stored_by) = (Some(Rc::new(state)), stored_by);
    }

    fn change(&self) -> Option<Change> {
        match (self.known, self.is_present()) {
            (None, true) => Some(Change::Joined),
            (Some(known), true) => (known != self.revision).then_some(Change::Changed),
            (Some(_), false) => Some(Change::Left),
            (None, false) => None,
        }
    }
}

enum Change {
    Joined,
    Changed,
    Left,
}

/// A member as its clients see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: MemberId,
    pub(crate) state: Option<Rc<MemberState>>,
    pub(crate) connections: usize,
}

/// What everyone is to receive.
#[derive(Debug, PartialEq)]
pub(crate) enum Update {
    /// The full list.
    List(Vec<Entry>),
    Changes {
        joined: Vec<Entry>,
        changed: Vec<Entry>,
        left: Vec<MemberId>,
    },
}

impl<S: Clone> Roster<S> {
    pub(crate) fn new(grace_ms: u64) -> Self {
        Self {
            grace_ms,
            members: BTreeMap::new(),
            sockets: BTreeMap::new(),
            unsent: BTreeSet::new(),
            grace: BTreeSet::new(),
            owes_list: false,
            since_list: None,
            sent_ms: None,
        }
    }

    /// Adds a socket that was there before this roster: the clients know its member.
    pub(crate) fn restore(
        &mut self,
        socket: u32,
        id: &str,
        handle: S,
        state: Option<MemberState>,
    ) -> MemberId {
        let is_new = !self.members.contains_key(id);
        let id = self.enter(socket, id, handle);
        let Some(member) = self.members.get_mut(&id) else { return id };
        if let Some(state) = state.filter(|state| member.is_outdated_by(state)) {
            (member.state, member.stored_by) = (Some(Rc::new(state)), Some(socket));
        }
        if is_new {
            member.known = Some(member.revision); // otherwise, a change may be unsent
        }
        id
    }

    /// Adds a socket that had closed before this roster was built, and is about to leave.
    pub(crate) fn restore_closed(&mut self, socket: u32, id: &str, handle: S, state: Option<MemberState>) {
        let before = self.members.get(id).map(|member| member.state.clone());
        let id = self.restore(socket, id, handle, state);
        let Some(member) = self.members.get_mut(&id) else { return };
        if before.is_some_and(|state| state != member.state) {
            member.revision = member.revision.wrapping_add(1); // a newcomer may have received the earlier state
        }
        self.note(&id);
    }

    /// Adds a socket. Returns the member's state if the socket is to keep it in its attachment.
    pub(crate) fn join(
        &mut self,
        socket: u32,
        id: &str,
        handle: S,
        state: Option<MemberState>,
    ) -> Option<Rc<MemberState>> {
        let id = self.enter(socket, id, handle);
        let member = self.members.get_mut(&id)?;
        let mut to_keep = None;
        if let Some(state) = state.filter(|state| member.is_outdated_by(state)) {
            member.set_state(state, Some(socket));
        } else if member.stored_by.is_none() && member.state.is_some() {
            to_keep.clone_from(&member.state);
            member.stored_by = Some(socket);
        }
        self.note(&id);
        to_keep
    }

    /// Adds a socket to its member, whose grace period ends.
    fn enter(&mut self, socket: u32, id: &str, handle: S) -> MemberId {
        let id = self.members.get_key_value(id).map_or_else(|| MemberId::from(id), |(id, _)| Rc::clone(id));
        let member = self.members.entry(Rc::clone(&id)).or_insert_with(Member::new);
        if self.sockets.insert(socket, Rc::clone(&id)).is_none() {
            member.sockets.push((socket, handle));
        }
        if let Some(end) = member.leaves_ms.take() {
            self.grace.remove(&(end, Rc::clone(&id)));
        }
        id
    }

    /// Removes a socket. Returns another socket of the member, and the state that is to be kept in its attachment from now on.
    pub(crate) fn leave(&mut self, socket: u32, now_ms: u64) -> Option<(S, Rc<MemberState>)> {
        let id = self.sockets.remove(&socket)?;
        let member = self.members.get_mut(&id)?;
        member.sockets.retain(|(other, _)| *other != socket);
        if member.stored_by == Some(socket) {
            member.stored_by = None;
        }
        let mut successor = None;
        match member.sockets.first() {
            Some((other, handle)) if member.stored_by.is_none() => {
                successor = member.state.as_ref().map(|state| (handle.clone(), Rc::clone(state)));
                member.stored_by = successor.as_ref().map(|_| *other);
            }
            Some(_) => {}
            None if self.grace_ms > 0 => {
                let end = now_ms.saturating_add(self.grace_ms);
                member.leaves_ms = Some(end);
                self.grace.insert((end, Rc::clone(&id)));
            }
            None => {}
        }
        self.note(&id);
        successor
    }

    /// Sets the state of a socket's member. The socket keeps it in its attachment.
    pub(crate) fn set_state(&mut self, socket: u32, state: MemberState) {
        if let Some(id) = self.sockets.get(&socket).cloned() {
            self.set_state_of(&id, Some(socket), state);
        }
    }

    /// Sets the state of a member. The socket `kept_by` keeps it in its attachment. Without one, the next socket that joins does.
    pub(crate) fn set_state_of(&mut self, id: &str, kept_by: Option<u32>, state: MemberState) {
        let Some((id, _)) = self.members.get_key_value(id) else { return };
        let id = Rc::clone(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        member.set_state(state, kept_by);
        self.note(&id);
    }

    /// Returns the time for a new state of a member: later than that of its state.
    pub(crate) fn time_of_state(&self, id: &str, now_ms: u64) -> u64 {
        let last = self.members.get(id).and_then(|member| member.state.as_ref()).map_or(0, |state| state.at);
        now_ms.max(last.saturating_add(1))
    }

    /// Returns the member of a socket.
    pub(crate) fn member_of(&self, socket: u32) -> Option<&str> {
        self.sockets.get(&socket).map(|id| &**id)
    }

    /// Returns the sockets of a member who is present: none in the grace period.
    pub(crate) fn sockets_of(&self, id: &str) -> Option<Vec<S>> {
        let member = self.members.get(id).filter(|member| member.is_present())?;
        Some(member.sockets.iter().map(|(_, handle)| handle.clone()).collect())
    }

    /// Makes everyone receive the full list.
    pub(crate) fn owe_list(&mut self) {
        self.owes_list = true;
    }

    /// Records whether a member's clients know its current state, and forgets a member who has left.
    fn note(&mut self, id: &MemberId) {
        if let Some(since) = &mut self.since_list {
            since.insert(Rc::clone(id));
        }
        self.since_list.take_if(|since| since.len() > MAX_CHANGES_SINCE_LIST);
        let Some(member) = self.members.get(id) else { return };
        match member.change() {
            Some(_) => drop(self.unsent.insert(Rc::clone(id))),
            None => {
                self.unsent.remove(id);
                if !member.is_present() {
                    self.members.remove(id);
                }
            }
        }
    }

    /// Returns the time at which [`advance`](Self::advance) has something to do, or `None` if there is nothing.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let end = self.grace.first().map(|(end, _)| *end);
        let update = self.owes_something().then(|| self.next_update_ms());
        end.into_iter().chain(update).min()
    }

    fn owes_something(&self) -> bool {
        self.owes_list || !self.unsent.is_empty()
    }

    /// Returns the earliest time of the next update.
    fn next_update_ms(&self) -> u64 {
        let interval = MIN_INTERVAL_MS.max((self.sockets.len() / SOCKETS_PER_MS) as u64);
        self.sent_ms.map_or(0, |sent| sent.saturating_add(interval))
    }

    /// Ends the grace periods that are over, and returns what everyone is to receive now.
    pub(crate) fn advance(&mut self, now_ms: u64) -> Option<Update> {
        while let Some((end, id)) = self.grace.first().filter(|(end, _)| *end <= now_ms).cloned() {
            self.grace.remove(&(end, Rc::clone(&id)));
            if let Some(member) = self.members.get_mut(&id) {
                member.leaves_ms = None;
            }
            self.note(&id);
        }
        if !self.owes_something() || self.next_update_ms() > now_ms {
            return None;
        }
        self.sent_ms = Some(now_ms);
        Some(if self.owes_list { self.take_list() } else { self.take_changes() })
    }

    fn take_list(&mut self) -> Update {
        self.owes_list = false;
        self.unsent.clear();
        self.members.retain(|_, member| {
            member.known = Some(member.revision);
            member.is_present()
        });
        Update::List(self.entries().collect())
    }

    fn take_changes(&mut self) -> Update {
        let (mut joined, mut changed, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.unsent) {
            let Some(member) = self.members.get_mut(&id) else { continue };
            let change = member.change();
            member.known = Some(member.revision);
            match change {
                Some(Change::Joined) => joined.push(entry(&id, member)),
                Some(Change::Changed) => changed.push(entry(&id, member)),
                Some(Change::Left) => {
                    self.members.remove(&id);
                    left.push(id);
                }
                None => {}
            }
        }
        Update::Changes { joined, changed, left }
    }

    /// Records that the current list is kept.
    pub(crate) fn mark_list(&mut self) {
        self.since_list = Some(BTreeSet::new());
    }

    /// Returns the changes since the list was kept, or `None` if there are too many.
    pub(crate) fn since_list(&self) -> Option<Update> {
        let since = self.since_list.as_ref()?;
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for id in since {
            match self.members.get(id).filter(|member| member.is_present()) {
                Some(member) => joined.push(entry(id, member)),
                None => left.push(Rc::clone(id)),
            }
        }
        Some(Update::Changes { joined, changed: Vec::new(), left })
    }

    /// Returns the members who are present, sorted by id.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.members.iter().filter(|(_, member)| member.is_present()).map(|(id, member)| entry(id, member))
    }

    /// Returns a socket of each member.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &S> {
        self.members.values().filter_map(|member| member.sockets.first()).map(|(_, handle)| handle)
    }

    /// Returns the number of members who are present.
    pub(crate) fn len(&self) -> usize {
        self.members.values().filter(|member| member.is_present()).count()
    }
}

fn entry<S>(id: &MemberId, member: &Member<S>) -> Entry {
    let state = member.state.as_ref().filter(|state| state.json.is_some()).map(Rc::clone);
    Entry { id: Rc::clone(id), state, connections: member.sockets.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::session::RawJson;
    use proptest::prelude::*;

    const GRACE_MS: u64 = 1_000;

    /// A client that has received all updates.
    #[derive(Default, Debug, PartialEq)]
    struct Client(BTreeMap<MemberId, Option<String>>);

    fn text(state: Option<&Rc<MemberState>>) -> Option<String> {
        state.and_then(|state| state.json.as_ref()).map(|json| json.as_str().to_owned())
    }

    impl Client {
        fn apply(&mut self, update: Update) {
            let (upserts, left) = match update {
                Update::List(entries) => {
                    self.0.clear();
                    (entries, Vec::new())
                }
                Update::Changes { joined, changed, left } => {
                    assert!(joined.iter().all(|entry| !self.0.contains_key(&entry.id)), "joined twice");
                    assert!(
                        changed.iter().all(|entry| self.0.contains_key(&entry.id)),
                        "changed without a join"
                    );
                    (joined.into_iter().chain(changed).collect(), left)
                }
            };
            for Entry { id, state, .. } in upserts {
                self.0.insert(id, text(state.as_ref()));
            }
            for id in left {
                assert!(self.0.remove(&id).is_some(), "left twice");
            }
        }
    }

    fn view(roster: &Roster<u32>) -> Client {
        Client(roster.entries().map(|entry| (entry.id, text(entry.state.as_ref()))).collect())
    }

    /// The attachments of the open sockets: member and state.
    type Attachments = BTreeMap<u32, (u8, Option<MemberState>)>;

    fn rebuilt(attachments: &Attachments) -> Roster<u32> {
        let mut roster = Roster::new(GRACE_MS);
        for (socket, (member, state)) in attachments {
            roster.restore(*socket, &member.to_string(), *socket, state.clone());
        }
        roster
    }

    fn state(number: Option<u8>, at: u64) -> MemberState {
        let json = number.map(|number| RawJson::new(number.to_string()).unwrap());
        MemberState { json, meta: None, at }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join {
            socket: u32,
            member: u8,
        },
        Leave {
            socket: u32,
        },
        Set {
            socket: u32,
            state: Option<u8>,
        },
        /// By a call over HTTP.
        SetOfMember {
            member: u8,
            state: Option<u8>,
        },
        Wait {
            ms: u64,
        },
        /// The instance is lost, and the next one has found that something is owed, or that nothing was.
        Lose,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0_u32..6, 0_u8..4).prop_map(|(socket, member)| Step::Join { socket, member }),
            3 => (0_u32..6).prop_map(|socket| Step::Leave { socket }),
            2 => (0_u32..6, proptest::option::of(0_u8..3)).prop_map(|(socket, state)| Step::Set { socket, state }),
            2 => (0_u8..4, proptest::option::of(0_u8..3)).prop_map(|(member, state)| Step::SetOfMember { member, state }),
            3 => prop_oneof![0_u64..150, 0_u64..2_000].prop_map(|ms| Step::Wait { ms }),
            1 => Just(Step::Lose),
        ]
    }

    proptest! {
        /// All clients converge to the members, with at most one update per 100 ms, and the updates are consistent.
        #[test]
        fn clients_and_attachments_converge_to_the_members(steps in proptest::collection::vec(step(), 0..60)) {
            let mut now_ms = 1_000_000_u64;
            let mut roster = Roster::new(GRACE_MS);
            let mut attachments = Attachments::new();
            let mut client = Client::default();
            let mut sent_ms: Option<u64> = None;
            let settle = |roster: &mut Roster<u32>, client: &mut Client, sent_ms: &mut Option<u64>, now_ms: u64| {
                while let Some(update) = roster.advance(now_ms) {
                    assert!(sent_ms.is_none_or(|sent| sent.saturating_add(MIN_INTERVAL_MS) <= now_ms), "sent too often");
                    *sent_ms = Some(now_ms);
                    client.apply(update);
                }
                assert!(roster.next_ms().is_none_or(|next| next > now_ms), "something is due");
            };
            for step in steps.into_iter().chain([Step::Wait { ms: 3_000 }, Step::Wait { ms: 3_000 }]) {
                match step {
                    Step::Join { socket, member } if !attachments.contains_key(&socket) => {
                        let kept = roster.join(socket, &member.to_string(), socket, None);
                        attachments.insert(socket, (member, kept.map(|state| (*state).clone())));
                    }
                    Step::Leave { socket } if attachments.remove(&socket).is_some() => {
                        if let Some((other, state)) = roster.leave(socket, now_ms) {
                            attachments.get_mut(&other).unwrap().1 = Some((*state).clone());
                        }
                    }
                    Step::Set { socket, state: number } if attachments.contains_key(&socket) => {
                        let (member, kept) = attachments.get_mut(&socket).unwrap();
                        let state = state(number, roster.time_of_state(&member.to_string(), now_ms));
                        *kept = Some(state.clone());
                        roster.set_state(socket, state);
                    }
                    Step::SetOfMember { member, state: number } => {
                        let id = member.to_string();
                        let state = state(number, roster.time_of_state(&id, now_ms));
                        let Some(sockets) = roster.sockets_of(&id) else { continue };
                        if let Some(socket) = sockets.last() {
                            attachments.get_mut(socket).unwrap().1 = Some(state.clone());
                        }
                        roster.set_state_of(&id, sockets.last().copied(), state.clone());
                        assert_eq!(roster.entries().find(|entry| *entry.id == *id).unwrap().state.is_some(), number.is_some());
                    }
                    Step::Wait { ms } => now_ms = now_ms.saturating_add(ms),
                    Step::Lose => {
                        let is_owed = roster.next_ms().is_some();
                        roster = rebuilt(&attachments);
                        if is_owed {
                            roster.owe_list();
                        }
                        sent_ms = None;
                    }
                    _ => {}
                }
                settle(&mut roster, &mut client, &mut sent_ms, now_ms);
            }
            prop_assert_eq!(roster.next_ms(), None);
            prop_assert_eq!(&client, &view(&roster));
            prop_assert_eq!(&view(&rebuilt(&attachments)), &client);
            prop_assert_eq!(roster.len(), client.0.len());
        }
    }

    #[test]
    fn the_interval_grows_with_the_sockets() {
        let mut roster = Roster::new(GRACE_MS);
        for socket in 0..10_000 {
            roster.restore(socket, &socket.to_string(), socket, None);
        }
        assert_eq!((roster.next_ms(), roster.advance(1)), (None, None));
        roster.set_state(0, state(Some(1), 1));
        assert!(roster.advance(1).is_some(), "the first change is sent at once");
        roster.set_state(1, state(Some(1), 1));
        assert_eq!(roster.next_ms(), Some(2_001));
        assert_eq!(roster.advance(2_000), None);
        let Some(Update::Changes { changed, .. }) = roster.advance(2_001) else { panic!("changes are due") };
        assert_eq!(changed.len(), 1);
    }
}
