//! How a directive's value takes effect: the one place for it, at the start and by CONFIG SET.
//!
//! The directive's row names the target that takes its value. Most targets are copies in atomics, which cannot fail. What can
//! fail (more clients, another directory, another port) comes first, and what was done of it is taken back.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use rustredis_config::{Changes, Config, DIRECTIVES, Directive, SetError, Target, ValueKind};
use rustredis_keyspace::limits::LIMITS;

use crate::clients::limits;
use crate::gate;
use crate::net::listen::Addresses;
use crate::start::server::Server;

/// Lets all targets take their values. What can fail has been done by the start.
pub fn apply_all(server: &Server, config: &Config) {
    Target::ALL.iter().for_each(|target| take(server, config, *target));
}

/// Lets the changes take effect, or leaves everything as it was before them.
///
/// # Errors
/// The text for the client, with the name that it used.
pub fn apply(server: &Server, config: &mut Config, changes: &Changes) -> Result<(), SetError> {
    do_what_can_fail(server, config, changes)?;
    let mut targets: Vec<Target> = changes.iter().filter_map(|(id, _)| id.row().target()).collect();
    targets.sort_unstable();
    targets.dedup();
    targets.iter().for_each(|target| take(server, config, *target));
    for (name, reason) in config.unsupported() {
        if changes.iter().any(|(directive, _)| directive.name() == name) {
            tracing::warn!("WARNING: {name} is set and IGNORED (ignore-unsupported): {reason}");
        }
    }
    if targets.contains(&Target::AppendOnly) {
        server.snapshots().turn(config.bool(Directive::Appendonly));
        // What is wrong with a file that is not wanted refuses no write.
        take(server, config, Target::DiskErrors);
    }
    Ok(())
}

fn do_what_can_fail(server: &Server, config: &mut Config, changes: &Changes) -> Result<(), SetError> {
    // The name that the client used for the first directive of the target that changed.
    let changed = |target: Target| {
        changes.iter().find(|(id, _)| id.row().target() == Some(target)).map(|(_, name)| name)
    };
    if let Some(name) = changed(Target::Descriptors) {
        let wanted = config.int(Directive::Maxclients) as u64;
        let possible = limits::raise(wanted);
        if (possible as u64) < wanted {
            return Err(SetError::not_applied(
                name,
                format!(
                    "The operating system is not able to handle the specified number of clients, try with {possible}"
                ),
            ));
        }
    }
    let mut left_directory = None;
    if let Some(name) = changed(Target::Directory) {
        left_directory = std::env::current_dir().ok();
        enter_directory(config).map_err(|error| SetError::not_applied(name, error.to_string()))?;
    }
    if changed(Target::Listening).is_some()
        && let Err(error) = server.listening().relisten(Addresses::of(config))
    {
        if let Some(directory) = left_directory {
            // It was there a moment ago; if it is gone, the new one stays.
            let _ = std::env::set_current_dir(directory);
        }
        let of = |directive| changes.iter().find(|(id, _)| *id == directive).map(|(_, name)| name);
        let name = of(Directive::Port).or(of(Directive::Bind)).unwrap_or_default();
        tracing::warn!("CONFIG SET {name}: {error}");
        let reason = if name == "bind" {
            "Failed to bind to specified addresses."
        } else {
            "Unable to listen on this port. Check server logs."
        };
        return Err(SetError::not_applied(name, reason));
    }
    Ok(())
}

/// Goes to the configured directory and notes its absolute path.
fn enter_directory(config: &mut Config) -> std::io::Result<()> {
    let path = config.path(Directive::Dir).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    std::env::set_current_dir(path)?;
    config.set_working_directory(&std::env::current_dir()?);
    Ok(())
}

/// Lets one target take what it keeps.
fn take(server: &Server, config: &Config, target: Target) {
    match target {
        Target::Descriptors => {
            server.settings().maxclients.store(config.int(Directive::Maxclients) as usize, Relaxed);
        }
        Target::Clients => {
            server.settings().take_clients(config);
            let script_bytes = config.bytes(Directive::ScriptMemoryLimit) as usize;
            server.scripts().limits.memory_bytes.store(script_bytes, Relaxed);
        }
        Target::Tracking => server.tracking().set_limits(
            config.int(Directive::TrackingTableMaxKeys) as usize,
            config.int(Directive::TrackingClientMaxKeys) as usize,
        ),
        Target::Password => {
            let password = config.text(Directive::Requirepass);
            server.users().change(|users| users.set_default_password(password, server.registry()));
        }
        Target::Users => {
            let hears_all = config.choice(Directive::AclPubsubDefault) == "allchannels";
            server.users().change(|users| users.set_hears_all(hears_all));
            server.acl_log().set_len_max(config.int(Directive::AcllogMaxLen) as usize);
        }
        Target::Eviction => {
            server.settings().take_eviction(config);
            server.gate().set(gate::MEMORY_LIMITED, config.bytes(Directive::Maxmemory) > 0);
        }
        Target::Encodings => take_encodings(config),
        Target::SlowCommands => {
            server.settings().take_slow_commands(config);
            let logs = server.command_logs();
            for (log, threshold, len_max) in [
                (&logs.slow, Directive::SlowlogLogSlowerThan, Directive::SlowlogMaxLen),
                (
                    &logs.large_request,
                    Directive::CommandlogRequestLargerThan,
                    Directive::CommandlogLargeRequestMaxLen,
                ),
                (
                    &logs.large_reply,
                    Directive::CommandlogReplyLargerThan,
                    Directive::CommandlogLargeReplyMaxLen,
                ),
            ] {
                log.set_threshold(config.int(threshold));
                log.set_len_max(config.int(len_max) as usize);
            }
            server.latency().set_threshold_ms(config.int(Directive::LatencyMonitorThreshold) as u64);
        }
        Target::Metrics => {
            server.metrics().set_tracks_latency(config.bool(Directive::LatencyTracking));
            server.engine().contention().set_enabled(config.bool(Directive::Contention));
        }
        Target::Replicas => {
            let wants_replicas =
                config.int(Directive::MinReplicasToWrite) > 0 && config.int(Directive::MinReplicasMaxLag) > 0;
            server.gate().set(gate::REPLICAS_MISSING, wants_replicas);
        }
        Target::Delays => {
            server.loading().delay.set(config.int(Directive::KeyLoadDelay) as i32);
            server.rdb().save_delay.set(config.int(Directive::RdbKeySaveDelay) as i32);
        }
        Target::Journal => server.aof().apply(config),
        Target::DiskErrors => server.aof().apply_gate(config),
        Target::Log => crate::upkeep::log::set_level(config.choice(Directive::Loglevel)),
        // These two are done; turning the append-only file on or off is the start's, or follows all else; the last keep no copy.
        Target::Directory | Target::Listening | Target::AppendOnly | Target::Readers => {}
    }
}

/// The keyspace's limits have the directives' names.
fn take_encodings(config: &Config) {
    for row in DIRECTIVES.iter().filter(|row| row.target() == Some(Target::Encodings)) {
        let limit = match row.kind {
            ValueKind::Memory { .. } => config.bytes(row.id) as i64,
            _ => config.int(row.id),
        };
        LIMITS.set(&row.name.replace('-', "_"), limit);
    }
}
