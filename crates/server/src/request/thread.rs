//! A worker's thread: its runtime, its tasks, and the connections that come to it.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::net::listen::Arrival;
use crate::net::stream::Stream;
use crate::request::dialogue::Dialogue;
use crate::request::record;
use crate::request::tasks;
use crate::request::worker::{self, Worker};
use crate::start::server::Server;

/// Runs a worker until the server shuts down. Called on a thread of its own.
pub fn run(
    index: usize,
    server: Arc<Server>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .on_thread_park(|| {
            worker::with_current(record::before_sleep);
            rustredis_engine::before_sleep();
        })
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        server.engine().enter_worker(index);
        let worker = Rc::new(Worker::new(index, server.clone()));
        worker::enter(&worker);
        tasks::start(&worker);
        while let Some(Arrival { stream, id }) = arrivals.recv().await {
            match Stream::adopt(stream) {
                Ok(stream) => {
                    let dialogue = Dialogue::new(stream, id, server.clone(), worker.clone());
                    tokio::task::spawn_local(dialogue.serve());
                }
                Err(error) => {
                    server.clients().leave();
                    tracing::warn!("Error adopting a client connection: {error}");
                }
            }
        }
    });
    Ok(())
}
