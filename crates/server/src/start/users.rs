//! Which users there are at the start: those of `user` lines, or those of a file.

use rustredis_acl::Users;
use rustredis_config::{Config, Directive};

use crate::clients::users::file;
use crate::start::server::Server;

/// Takes the users of the configuration in the place of the default user alone, who has the password of `requirepass` by now.
///
/// # Errors
/// Why the server cannot start.
pub fn load(server: &Server, config: &Config) -> Result<(), String> {
    let (registry, lines) = (server.registry(), config.lines(Directive::User));
    let hears_all = config.choice(Directive::AclPubsubDefault) == "allchannels";
    let users = match config.path(Directive::Aclfile) {
        None if lines.is_empty() => return Ok(()),
        None => {
            let password = config.text(Directive::Requirepass);
            Users::of_directives(lines, password, hears_all, registry).map_err(|(name, error)| {
                format!("Error in the user line of '{}': {error}", String::from_utf8_lossy(&name))
            })?
        }
        Some(_) if !lines.is_empty() => {
            return Err("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.".to_owned());
        }
        Some(path) => file::load(path, hears_all, registry)
            .map_err(|error| format!("Aborting Redis startup because of ACL errors: {error}"))?,
    };
    server.users().change(|old| *old = users);
    Ok(())
}
