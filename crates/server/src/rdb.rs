//! The RDB file of the server: saving and loading all that it holds.

use rustredis_config::Directive;
use rustredis_persistence::rdb::Compression;

use crate::server::Server;

/// Whether strings are compressed, as `rdbcompression` says.
pub fn compression(server: &Server) -> Compression {
    if server.config.lock().bool(Directive::Rdbcompression) { Compression::Lzf } else { Compression::Off }
}
