//! Replies out of what has arrived so far. The test kit's own reader waits for a whole reply; here a socket never waits.

use crate::Reply;

/// The first reply of these bytes and its length; `None` if it is not whole yet, an error if it is none that a command of
/// a history has.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let number =
        || line.parse::<i64>().map_err(|_| format!("no number in {:?}", String::from_utf8_lossy(bytes)));
    let mut at = end + 2;
    let reply = match bytes[0] {
        b'+' => Reply::Simple(line),
        b'-' => Reply::Error(line),
        b':' => Reply::Integer(number()?),
        b'$' => match usize::try_from(number()?) {
            Err(_) => Reply::NullBulk,
            Ok(length) => {
                let Some(bulk) = bytes.get(at..at + length + 2) else { return Ok(None) };
                at += length + 2;
                Reply::bulk(&bulk[..length])
            }
        },
        b'*' => match usize::try_from(number()?) {
            Err(_) => Reply::NullArray,
            Ok(count) => {
                let mut elements = Vec::new();
                for _ in 0..count {
                    let Some((element, length)) = decode(&bytes[at..])? else { return Ok(None) };
                    elements.push(element);
                    at += length;
                }
                Reply::Array(elements)
            }
        },
        _ => return Err(format!("no reply begins so: {:?}", String::from_utf8_lossy(bytes))),
    };
    Ok(Some((reply, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_decoded_once_it_is_whole() {
        let whole = b"*3\r\n$2\r\nab\r\n:-7\r\n*2\r\n$-1\r\n*-1\r\n";
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), Ok(None));
        }
        let (reply, length) = decode(&[whole, &b"+OK\r\n"[..]].concat()).unwrap().unwrap();
        assert_eq!(reply.to_string(), "[\"ab\", -7, [nil, nil-array]]");
        assert_eq!(length, whole.len());
        assert!(decode(b"?\r\n").is_err());
    }
}
