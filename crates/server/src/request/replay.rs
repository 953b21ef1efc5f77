//! Running what stands in an append-only file: for nobody, on a thread that is no worker, and without effects.

use std::sync::Arc;

use rustredis_commands::{Args, CommandError, Flags, Row, Run};
use rustredis_keyspace::View;

use crate::clients::client::Client;
use crate::files::load::Replays;
use crate::request::caller::{Caller, Progress};
use crate::request::context::Context;
use crate::request::origin::Origin;
use crate::request::run;
use crate::start::server::Server;

/// How a load runs commands.
pub fn replays(server: &Server) -> Replays<'_> {
    Replays {
        registry: server.registry(),
        begin: Box::new(|| {
            let mut replay = Replay::new(server);
            Box::new(move |view, row, db, args| replay.run(view, row, db, args))
        }),
    }
}

/// What a thread that loads keeps between commands.
struct Replay<'s> {
    server: &'s Server,
    caller: Caller,
    output: Vec<u8>,
}

impl<'s> Replay<'s> {
    /// For a thread that begins.
    fn new(server: &'s Server) -> Self {
        let nobody = Arc::new(Client::new(0, String::new(), String::new(), -1, 0, 0));
        Self { server, caller: Caller::new(nobody, true), output: Vec::new() }
    }

    /// Runs a command in this database. Its reply is of no interest, and one that changes no data is passed over.
    ///
    /// # Errors
    /// The command's error.
    fn run(&mut self, view: &mut View<'_>, row: &Row, db: usize, args: Args<'_>) -> Result<(), CommandError> {
        let changes_data = matches!(row.command.run, Run::Keys(_)) || row.command.flags.has(Flags::WRITE);
        if !changes_data {
            return Ok(());
        }
        view.select(db);
        self.caller.db = db;
        self.output.clear();
        let mut context = Context {
            server: self.server,
            worker: None,
            caller: &mut self.caller,
            progress: &mut Progress::default(),
            conversation: None,
            origin: Origin::File,
        };
        run::command(&mut context, view, &mut self.output, row, args);
        view.effects.clear();
        match self.output.strip_prefix(b"-") {
            Some(error) => Err(CommandError::Other(error.trim_ascii_end().to_vec().into())),
            None => Ok(()),
        }
    }
}
