//! The memory for the sessions of many sockets.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // all of it is a test

use durable_event_iterator::{
    Audience, Channel, ConnectionsQuery, DurableEventIteratorObject, Result, Revocation, StatsQuery, Token,
    Value,
};
use durable_event_test::TestObject;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};
use worker::Env;

/// The system's allocator, which counts the bytes of each thread.
struct Counting;

thread_local! {
    static USED: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let used = USED.get() + bytes;
    USED.set(used);
    PEAK.set(PEAK.get().max(used));
}

#[allow(unsafe_code)] // an allocator is unsafe
// SAFETY: it passes all calls to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as for the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the result of `work`, and the most memory that it has used in addition, in bytes.
fn measure<R>(work: impl FnOnce() -> R) -> (R, isize) {
    let before = USED.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

struct Room(Channel<Value, Value, String>);

impl DurableEventIteratorObject for Room {
    type Channel = Channel<Value, Value, String>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self(channel))
    }
}

const SOCKETS: usize = 3_000;

/// The size of the attachment of a socket: 42 MB for all of them.
const ATTACHMENT: usize = 14_000;

/// One session, and a few values of each socket.
const FEW: isize = 1_000_000;

/// Those and the cache of sessions, 16 MiB, since the sessions of sockets that are closed are written.
const MOST: isize = 20_000_000;

#[test]
fn the_sessions_of_all_sockets_are_not_in_memory_at_once() {
    let room = TestObject::<Room>::new();
    let token = room.sign(Token::builder("test").subject("anna").lifetime(Duration::from_secs(600)));
    let attachment = "x".repeat(ATTACHMENT);
    for _ in 0..SOCKETS {
        room.connect_with(&format!("token={token}")).unwrap();
    }
    for socket in room.channel().sockets().unwrap() {
        socket.set_attachment(&attachment).unwrap();
    }
    let measure_after_eviction =
        |name: &str, work: &dyn Fn(&Room) -> Result<usize>, expected: usize, most: isize| {
            room.evict();
            let object = room.object();
            let (result, peak) = measure(|| work(&object));
            assert_eq!(result.unwrap(), expected, "{name}");
            assert!(peak < most, "{name}: {peak} bytes");
        };
    let stats = |room: &Room| Ok(room.0.stats(&StatsQuery::new())?.sockets as usize);
    measure_after_eviction("stats", &stats, SOCKETS, FEW);
    let page = |room: &Room| Ok(room.0.connections(&ConnectionsQuery::new().limit(10))?.connections.len());
    measure_after_eviction("connections", &page, 10, FEW);
    let nobody = |room: &Room| room.0.disconnect(&Audience::everyone().tagged("x"), "Go");
    measure_after_eviction("nobody", &nobody, 0, FEW);
    let everyone = |room: &Room| room.0.revoke(&Revocation::subject("anna"), "Banned");
    measure_after_eviction("everyone", &everyone, SOCKETS, MOST);
}
