//! Requests, written: what a client would send, and what an AOF holds.

use crate::reply::{Proto, Reply};

/// Appends a command as an array of bulk strings. O(bytes).
pub fn write_request(out: &mut Vec<u8>, words: &[&[u8]]) {
    let mut writer = Reply::new(out, Proto::Resp2);
    writer.array(words.len());
    words.iter().for_each(|word| writer.bulk(word));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut out = b"+OK\r\n".to_vec();
        write_request(&mut out, &[b"SET", b"", b"\r\n"]);
        assert_eq!(out, b"+OK\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\n");
    }
}
