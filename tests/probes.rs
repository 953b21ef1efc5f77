//! What tools and clients ask to find out what they talk to: modules, cluster, users, scripts, functions. A server without
//! them answers as a Redis that does not use them, and invents nothing.

use rustredis_testkit::{Client, every_engine};

/// Lines and the beginnings of their replies, the same for a Redis that has no modules, scripts, functions and users.
const SAME: &[(&str, &str)] = &[
    ("MODULE LIST", "[]"),
    ("MODULE NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try MODULE HELP."),
    ("MODULE", "-ERR wrong number of arguments for 'module' command"),
    ("CLUSTER INFO", "-ERR This instance has cluster support disabled"),
    ("CLUSTER NODES", "-ERR This instance has cluster support disabled"),
    ("CLUSTER SLOTS", "-ERR This instance has cluster support disabled"),
    ("CLUSTER SHARDS", "-ERR This instance has cluster support disabled"),
    ("CLUSTER MYID", "-ERR This instance has cluster support disabled"),
    ("CLUSTER KEYSLOT a", "-ERR This instance has cluster support disabled"),
    ("CLUSTER KEYSLOT", "-ERR wrong number of arguments for 'cluster|keyslot' command"),
    ("CLUSTER HELP", "-ERR This instance has cluster support disabled"),
    ("CLUSTER NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP."),
    ("READONLY", "-ERR This instance has cluster support disabled"),
    ("READWRITE", "-ERR This instance has cluster support disabled"),
    ("ASKING", "-ERR This instance has cluster support disabled"),
    ("ACL WHOAMI", "\"default\""),
    ("ACL USERS", "[\"default\"]"),
    ("ACL LIST", "[\"user default on nopass "),
    ("ACL GETUSER nosuch", "nil"),
    ("ACL CAT nosuch", "-ERR Unknown category 'nosuch'"),
    ("ACL CAT a b", "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP."),
    ("ACL GENPASS 0", "-ERR ACL GENPASS argument must be the number of bits"),
    ("ACL GENPASS 4097", "-ERR ACL GENPASS argument must be the number of bits"),
    ("ACL GENPASS x", "-ERR value is not an integer or out of range"),
    ("ACL DRYRUN default GET a", "+OK"),
    ("ACL DRYRUN default GET", "-ERR wrong number of arguments for 'get' command"),
    ("ACL DRYRUN default NOSUCH", "-ERR Command 'NOSUCH' not found"),
    ("ACL DRYRUN nosuch GET a", "-ERR User 'nosuch' not found"),
    ("ACL DELUSER default", "-ERR The 'default' user cannot be removed"),
    ("ACL DELUSER nosuch", "0"),
    ("ACL SAVE", "-ERR This "),
    ("ACL LOAD", "-ERR This "),
    ("ACL LOG", "[]"),
    ("ACL LOG RESET", "+OK"),
    ("ACL LOG x", "-ERR value is not an integer or out of range"),
    ("SCRIPT EXISTS a b", "[0, 0]"),
    ("SCRIPT FLUSH", "+OK"),
    ("SCRIPT FLUSH ASYNC", "+OK"),
    ("SCRIPT FLUSH x", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    ("SCRIPT KILL", "-NOTBUSY No scripts in execution right now."),
    ("SCRIPT DEBUG NO", "+OK"),
    ("SCRIPT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try SCRIPT HELP."),
    ("FUNCTION LIST", "[]"),
    ("FUNCTION LIST LIBRARYNAME * WITHCODE", "[]"),
    ("FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given"),
    ("FUNCTION LIST WITHCODE WITHCODE", "-ERR Unknown argument WITHCODE"),
    ("FUNCTION KILL", "-NOTBUSY No scripts in execution right now."),
    ("FUNCTION DELETE nosuch", "-ERR Library not found"),
    ("FUNCTION FLUSH", "+OK"),
    ("FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
    (
        "FUNCTION FLUSH SYNC x",
        "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
    ),
];

/// What only a server that lacks the thing refuses.
const REFUSED: &[(&str, &str)] = &[
    ("MODULE LOAD /x.so", "-ERR Error loading the extension: this server cannot load modules"),
    ("MODULE LOADEX /x.so", "-ERR Error loading the extension: this server cannot load modules"),
    ("MODULE UNLOAD x", "-ERR Error unloading module: no such module with that name"),
    ("SCRIPT DEBUG YES", "-ERR There is no debugger of scripts here"),
];

/// `SHA-256("secret")`.
const DIGEST: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// The value of a field of an ACL LOG entry, which is a flat array.
fn field(entry: &[rustredis_testkit::Reply], name: &str) -> String {
    let at = entry.iter().position(|reply| reply.to_string() == format!("\"{name}\""));
    entry[at.unwrap_or_else(|| panic!("no {name} in {entry:?}")) + 1].to_string()
}

every_engine! {
    fn what_is_not_used_is_told_as_redis_does(server: &Server) {
        let mut client = server.client();
        for (line, expected) in SAME {
            client.check_prefix(line, expected);
        }
        for container in ["MODULE", "ACL", "SCRIPT", "FUNCTION"] {
            client.check_prefix(&format!("{container} HELP"), &format!("[+{container} <subcommand> "));
        }
        if !server.is_redis() {
            for (line, expected) in REFUSED {
                client.check_prefix(line, expected);
            }
            client.check("FUNCTION STATS", "[\"running_script\", nil, \"engines\", [\"LUA\", [\"libraries_count\", 0, \"functions_count\", 0]]]");
        }
    }

    /// None of them is what MULTI must refuse, and none changes anything.
    fn probes_pass_through_a_transaction(server: &Server) {
        let mut client = server.client();
        client.check("MULTI", "+OK");
        for line in ["ACL WHOAMI", "MODULE LIST", "CLUSTER INFO", "SCRIPT EXISTS a", "FUNCTION LIST"] {
            client.check(line, "+QUEUED");
        }
        client.check("EXEC", "[\"default\", [], -ERR This instance has cluster support disabled, [0], []]");
    }

    fn the_default_user_has_what_requirepass_says(server: &Server) {
        let mut client = server.client();
        // 7.0 does not tell of it.
        let sanitizes = if server.is_redis() { "" } else { ", \"sanitize-payload\"" };
        let word = if server.is_redis() { "" } else { "sanitize-payload " };
        let user = |flags: &str, passwords: &str| {
            format!(
                "[\"flags\", [{flags}{sanitizes}], \"passwords\", [{passwords}], \"commands\", \"+@all\", \"keys\", \"~*\", \
                 \"channels\", \"&*\", \"selectors\", []]"
            )
        };
        client.check("ACL GETUSER default", &user("\"on\", \"nopass\"", ""));
        client.check("CONFIG SET requirepass secret", "+OK");
        client.check("ACL GETUSER default", &user("\"on\"", &format!("\"{DIGEST}\"")));
        client.check("ACL LIST", &format!("[\"user default on {word}#{DIGEST} ~* &* +@all\"]"));
        let mut other = server.client();
        other.check("ACL WHOAMI", "-NOAUTH Authentication required.");
        client.check("CONFIG SET requirepass \"\"", "+OK");
        client.check("ACL LIST", &format!("[\"user default on nopass {word}~* &* +@all\"]"));
        let user = server.client_resp3().line("ACL GETUSER default").to_string();
        assert!(user.starts_with("{\"flags\": ~[\"on\", \"nopass\""), "{user}");
    }

    fn categories_are_those_of_the_commands(server: &Server) {
        let mut client = server.client();
        let categories = client.line("ACL CAT").elements();
        assert_eq!(categories.len(), 21);
        for category in categories {
            let commands = client.line(&format!("ACL CAT {}", category.text())).elements();
            assert!(commands.len() > 3 || category.text() == "stream", "{category}");
        }
        let strings: Vec<String> = client.line("ACL CAT STRING").elements().iter().map(|name| name.text()).collect();
        assert!(strings.contains(&"getrange".to_owned()) && !strings.contains(&"lpush".to_owned()), "{strings:?}");
        let admin: Vec<String> = client.line("ACL CAT admin").elements().iter().map(|name| name.text()).collect();
        assert!(admin.contains(&"config|set".to_owned()) && !admin.contains(&"config".to_owned()), "{admin:?}");
    }

    fn passwords_are_drawn(server: &Server) {
        let mut client = server.client();
        let mut draw = |line: &str| client.line(line).text();
        let (one, two) = (draw("ACL GENPASS"), draw("ACL GENPASS"));
        assert!(one.len() == 64 && two.len() == 64 && one != two, "{one} {two}");
        assert!(one.bytes().all(|digit| digit.is_ascii_hexdigit()), "{one}");
        for (bits, digits) in [(1, 1), (5, 2), (4096, 1024)] {
            assert_eq!(draw(&format!("ACL GENPASS {bits}")).len(), digits);
        }
    }

    fn wrong_passwords_are_in_the_log(server: &Server) with ["--requirepass", "secret"] {
        let mut client = server.client();
        let refuse = |client: &mut Client, line: &str| client.check_prefix(line, "-WRONGPASS ");
        refuse(&mut client, "AUTH wrong");
        refuse(&mut client, "AUTH wronger");
        refuse(&mut client, "AUTH alice secret");
        refuse(&mut client, "HELLO 2 AUTH default wrong");
        client.check("AUTH secret", "+OK");
        let entries = client.line("ACL LOG").elements();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                let entry = entry.clone().elements();
                ["count", "reason", "context", "object", "username"].map(|name| field(&entry, name)).join(" ")
            })
            .collect();
        assert_eq!(
            seen,
            [
                "1 \"auth\" \"toplevel\" \"HELLO\" \"default\"",
                "1 \"auth\" \"toplevel\" \"AUTH\" \"alice\"",
                "2 \"auth\" \"toplevel\" \"AUTH\" \"default\"",
            ]
        );
        assert!(field(&entries[0].clone().elements(), "client-info").contains("cmd=hello"));
        client.check("ACL LOG RESET", "+OK");
        client.check("ACL LOG", "[]");
        if !server.is_redis() {
            assert_eq!(server_info(&mut client, "acl_access_denied_auth"), "4");
            client.check("CONFIG RESETSTAT", "+OK");
            assert_eq!(server_info(&mut client, "acl_access_denied_auth"), "0");
        }
    }
}

/// A field of INFO, for a client that has authenticated.
fn server_info(client: &mut Client, field: &str) -> String {
    let text = client.line("INFO stats").text();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("INFO has no {field}")).to_owned()
}
