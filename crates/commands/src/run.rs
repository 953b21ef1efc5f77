//! The one call of a row's function.

use rustredis_keyspace::View;
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Flags, Run};
use crate::error::CommandError;
use crate::registry::Row;

impl Row {
    /// Whether what the command does goes to the journal. WATCH, which needs its shards alone too, does nothing that does.
    #[inline]
    pub fn is_journalled(&self) -> bool {
        self.command.flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE))
    }

    /// Runs the command on a view that covers it: with clean effects, and without what a write reads and whose time has come (a
    /// command with one key meets it where it changes it). `of_server` runs a command of the server.
    ///
    /// # Errors
    /// The command's error. What it has written of its reply then is to be cut away.
    #[inline(always)]
    pub fn run<'a>(
        &self,
        view: &mut View<'_>,
        args: Args<'a>,
        reply: &mut Reply<'_>,
        of_server: impl FnOnce(&mut View<'_>, Args<'a>, &mut Reply<'_>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        debug_assert!(
            view.effects.is_settled(),
            "something is left of the command before {}",
            self.full_name
        );
        view.effects.begin();
        if args.key_refs().len() > 1 && self.is_journalled() {
            args.keys().for_each(|key| view.expire_ahead(key));
        }
        match self.command.run {
            Run::Keys(handler) => handler(view, args, reply),
            Run::Server => of_server(view, args, reply),
            Run::Container => Err(CommandError::Arity(self.full_name.to_owned())),
        }
    }
}
