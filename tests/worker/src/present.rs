//! Durable Objects with presence, one class for each set of options.

use durable_event_iterator::{
    Call, Channel, Code, DurableEventIteratorObject, Error, Options, Presence, PresenceEvent, Procedures,
    Result, RpcMethods, SocketOf, Subscribed, Value, durable_object,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use worker::{Env, SqlStorageValue};

/// The events. Publishers may publish any others, which have no type here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// An event of the application.
    Message {
        /// The number.
        n: u32,
        /// Any text.
        text: Option<String>,
    },
    /// An event of the library.
    Presence(PresenceEvent),
}

/// The attachment of tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// The member id, for the class with this key.
    user_id: Option<String>,
    /// The state that the server sets.
    state: Option<String>,
    /// What `on_subscribed` and `on_closed` do.
    manner: Option<Manner>,
}

/// What a hook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Manner {
    /// `on_subscribed` fails.
    FailSubscribed,
    /// `on_closed` fails.
    FailClosed,
    /// `on_closed` panics.
    PanicClosed,
    /// `on_subscribed` panics.
    PanicSubscribed,
}

/// Records the sockets that have closed.
pub struct Present<const OPTIONS: u8> {
    channel: Channel<Event, Option<User>, String>,
}

const BY_SUBJECT: u8 = 0;
const BY_ATTACHMENT: u8 = 1;
const PATIENT: u8 = 2;
const PUBLISHED: u8 = 3;
const OFF: u8 = 4;
const OWN: u8 = 5;

/// A row of the table of sockets that have closed.
#[derive(Serialize, Deserialize)]
pub struct Closed {
    name: String,
    kept: Option<String>,
    sockets: f64,
}

impl<const OPTIONS: u8> Present<OPTIONS> {
    fn table(&self) -> Result<()> {
        self.channel
            .sql()
            .exec("CREATE TABLE IF NOT EXISTS closings (name TEXT, kept TEXT, sockets INTEGER)", None)?;
        Ok(())
    }

    async fn closings(&self) -> Result<Vec<Closed>> {
        self.table()?;
        self.channel.sql().exec("SELECT * FROM closings ORDER BY rowid", None)?.to_array()
    }

    async fn set_states(&self, state: Value) -> Result<()> {
        self.channel.sockets()?.iter().try_for_each(|socket| socket.set_presence(&state))
    }

    async fn close_all(&self, code: u16) -> Result<()> {
        self.channel.sockets()?.iter().for_each(|socket| socket.close(code, "by the server"));
        Ok(())
    }
}

impl<const OPTIONS: u8> DurableEventIteratorObject for Present<OPTIONS> {
    type Channel = Channel<Event, Option<User>, String>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_: &Env) -> Options {
        let options = Options::default();
        let half = Duration::from_millis(500);
        match OPTIONS {
            BY_ATTACHMENT => options.presence(Presence::by_attachment("userId").grace(half)),
            PATIENT => options.presence(Presence::by_connection().grace(Duration::from_secs(60))),
            PUBLISHED => options.presence(Presence::by_subject().grace(half)).publisher(),
            OFF => options,
            _ => options.presence(Presence::by_subject().grace(half)),
        }
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        let procedures = Procedures::new()
            .procedure("keep", async |_: &Self, call: Call<Self>, text: String| {
                call.socket.set_attachment(&text)
            });
        if OPTIONS == OWN {
            return procedures.procedure("setPresence", async |_: &Self, call: Call<Self>, state: String| {
                call.socket.set_presence(&format!("own: {state}"))
            });
        }
        procedures
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("closings", async |object: &Self, ()| object.closings().await)
            .method("setStates", async |object: &Self, (state,): (Value,)| object.set_states(state).await)
            .method("closeAll", async |object: &Self, (code,): (u16,)| object.close_all(code).await)
    }

    #[expect(clippy::panic, reason = "a test of it")]
    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        let User { state, manner, .. } = client.socket.token_attachment()?.unwrap_or_default();
        if let Some(state) = state {
            client.socket.set_presence(&state)?;
        }
        match manner {
            Some(Manner::FailSubscribed) => Err(Error::new(Code::Conflict)),
            Some(Manner::PanicSubscribed) => panic!("on purpose"),
            _ => Ok(()),
        }
    }

    #[expect(clippy::panic, reason = "a test of it")]
    fn on_closed(&self, socket: &SocketOf<Self>) -> Result<()> {
        let User { manner, user_id, .. } = socket.token_attachment()?.unwrap_or_default();
        self.table()?;
        let name = user_id.or_else(|| socket.connection_id().map(str::to_owned)).unwrap_or_default();
        let kept = socket.attachment()?.map_or(SqlStorageValue::Null, SqlStorageValue::from);
        let sockets = u32::try_from(self.channel.sockets()?.len()).unwrap_or(u32::MAX);
        let values = vec![name.into(), kept, i64::from(sockets).into()];
        self.channel.sql().exec("INSERT INTO closings VALUES (?, ?, ?)", values)?;
        match manner {
            Some(Manner::FailClosed) => Err(Error::new(Code::Conflict)),
            Some(Manner::PanicClosed) => panic!("on purpose"),
            _ => Ok(()),
        }
    }
}

durable_object!(pub PresentObject: Present<BY_SUBJECT>);
durable_object!(pub AttachedPresentObject: Present<BY_ATTACHMENT>);
durable_object!(pub PatientPresentObject: Present<PATIENT>);
durable_object!(pub PublishedPresentObject: Present<PUBLISHED>);
durable_object!(pub AbsentObject: Present<OFF>);
durable_object!(pub OwnPresentObject: Present<OWN>);
