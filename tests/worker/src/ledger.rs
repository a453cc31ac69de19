//! A Durable Object whose clients start with a snapshot of its state.

use durable_event_iterator::{
    Channel, Code, DurableEventIteratorObject, Error, Options, Result, RpcMethods, Subscribed, durable_object,
};
use serde::{Deserialize, Serialize};
use worker::Env;

/// The number of retained events, so small that a client has a gap after a long disconnection.
const RETAINED_EVENTS: u64 = 64;

/// The number of parts of a snapshot in parts.
const PARTS: usize = 3;

/// The events.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Entry {
    /// The whole state, or a part of it.
    #[serde(rename_all = "camelCase")]
    Snapshot {
        /// All added items, in order.
        items: Vec<u32>,
        /// The last event id that the hook received.
        last_event_id: Option<String>,
        /// The gap that the hook received.
        gap: Option<String>,
        /// Whether this is the first part of the snapshot. An earlier snapshot may be incomplete.
        is_first: bool,
        /// Whether this is the last part of the snapshot.
        is_last: bool,
    },
    /// An item was added.
    Added {
        /// The item.
        n: u32,
    },
    /// A client has subscribed.
    Announced {
        /// The text of the announcement.
        text: String,
    },
}

/// The behaviour of the hook for a client, set by its token attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Manner {
    /// Sends the snapshot in parts.
    InParts,
    /// Publishes events before and after the snapshot.
    Announced,
    /// Sends a snapshot to clients that resume, too.
    Always,
    /// Sends no snapshot.
    Never,
    /// Fails with an `Error` for clients, as often as `failNext` states.
    Refusing,
    /// Fails with an internal error, as often as `failNext` states.
    Failing,
    /// Fails after the snapshot, as often as `failNext` states.
    FailingLate,
    /// Closes the socket.
    Closing,
}

/// The number of items, and the cursor that belongs to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    items: u32,
    last_event_id: Option<String>,
}

/// The Durable Object. Its state is in a custom table.
pub struct Ledger<const BEGINS_WITH_SNAPSHOT: bool> {
    channel: Channel<Entry, Option<Manner>>,
}

impl<const BEGINS_WITH_SNAPSHOT: bool> DurableEventIteratorObject for Ledger<BEGINS_WITH_SNAPSHOT> {
    type Channel = Channel<Entry, Option<Manner>>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_env: &Env) -> Options {
        let options = Options::default().retained_events(RETAINED_EVENTS);
        if BEGINS_WITH_SNAPSHOT { options.begin_with_snapshot() } else { options }
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("add", async |ledger: &Self, ()| ledger.add())
            .method("state", async |ledger: &Self, ()| ledger.state())
            .method("failNext", async |ledger: &Self, (times,): (u32,)| ledger.set("failures", times))
            .method("wipe", async |ledger: &Self, ()| Ok(ledger.channel.storage().delete_all().await?))
            .method("greetings", async |ledger: &Self, ()| ledger.get("greetings"))
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        self.set("greetings", self.get("greetings")?.saturating_add(1))?;
        let manner = client.socket.token_attachment()?;
        match manner {
            None if client.is_resumed() => Ok(()),
            Some(Manner::Never) => Ok(()),
            None | Some(Manner::Always) => client.send_snapshot([self.snapshot(client)?]),
            Some(Manner::InParts) => {
                let items = self.items()?;
                let size = items.len().div_ceil(PARTS).max(1);
                let mut parts = vec![part(client, Vec::new(), true, false)];
                parts.extend(items.chunks(size).map(|items| part(client, items.to_vec(), false, false)));
                parts.push(part(client, Vec::new(), false, true));
                client.send_snapshot(&parts)
            }
            Some(Manner::Announced) => {
                self.channel.publish(&Entry::Announced { text: "before".into() })?;
                client.send_snapshot([self.snapshot(client)?])?;
                self.channel.publish(&Entry::Announced { text: "after".into() })?;
                Ok(())
            }
            Some(Manner::Refusing) => {
                if self.is_to_fail()? {
                    return Err(Error::new(Code::Conflict).message("Not ready."));
                }
                client.send_snapshot([self.snapshot(client)?])
            }
            Some(Manner::Failing) => {
                if self.is_to_fail()? {
                    let _: u8 = "not a number, and nobody's business".parse()?;
                }
                client.send_snapshot([self.snapshot(client)?])
            }
            Some(Manner::FailingLate) => {
                client.send_snapshot([self.snapshot(client)?])?;
                if self.is_to_fail()? { Err(Error::new(Code::Conflict)) } else { Ok(()) }
            }
            Some(Manner::Closing) => {
                client.socket.close(4_000, "closed by the hook");
                client.send_snapshot([self.snapshot(client)?])
            }
        }
    }
}

impl<const BEGINS_WITH_SNAPSHOT: bool> Ledger<BEGINS_WITH_SNAPSHOT> {
    /// Adds the next number, and publishes it.
    fn add(&self) -> Result<u32> {
        self.channel.transaction(|tx| {
            let n = self.get("items")?.saturating_add(1);
            self.set("items", n)?;
            tx.publish(&Entry::Added { n })?;
            Ok(n)
        })
    }

    fn state(&self) -> Result<State> {
        let last_event_id = self.channel.last_event_id()?.map(|id| id.to_string());
        Ok(State { items: self.get("items")?, last_event_id })
    }

    fn items(&self) -> Result<Vec<u32>> {
        Ok((1..=self.get("items")?).collect())
    }

    fn snapshot(&self, client: &Subscribed<Self>) -> Result<Entry> {
        Ok(part(client, self.items()?, true, true))
    }

    fn is_to_fail(&self) -> Result<bool> {
        let left = self.get("failures")?;
        self.set("failures", left.saturating_sub(1))?;
        Ok(left > 0)
    }

    fn get(&self, name: &str) -> Result<u32> {
        #[derive(Deserialize)]
        struct Row {
            value: u32,
        }
        let sql = self.channel.sql();
        sql.exec("CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER)", None)?;
        let rows =
            sql.exec("SELECT value FROM numbers WHERE name = ?", vec![name.into()])?.to_array::<Row>()?;
        Ok(rows.first().map_or(0, |row| row.value))
    }

    fn set(&self, name: &str, value: u32) -> Result<()> {
        self.get(name)?;
        let sql = self.channel.sql();
        sql.exec(
            "INSERT OR REPLACE INTO numbers (name, value) VALUES (?, ?)",
            vec![name.into(), f64::from(value).into()],
        )?;
        Ok(())
    }
}

fn part<const BEGINS_WITH_SNAPSHOT: bool>(
    client: &Subscribed<Ledger<BEGINS_WITH_SNAPSHOT>>,
    items: Vec<u32>,
    is_first: bool,
    is_last: bool,
) -> Entry {
    Entry::Snapshot {
        items,
        last_event_id: client.last_event_id.clone(),
        gap: client.gap.map(|id| id.to_string()),
        is_first,
        is_last,
    }
}

durable_object!(pub LedgerObject: Ledger<true>);
durable_object!(pub ReplayingLedgerObject: Ledger<false>);
