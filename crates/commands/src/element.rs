//! Elements of collections on their way into a reply.
//!
//! A listpack keeps integers as integers; a client gets their text, printed straight into the reply.

use rustredis_keyspace::types::listpack::Element;
use rustredis_resp::Reply;

/// Writes an element as a bulk string.
#[inline]
pub(crate) fn bulk(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Str(text) => reply.bulk(text),
        Element::Int(integer) => reply.bulk_int(integer),
    }
}

/// Writes an element as a bulk string, or a null if there is none.
pub(crate) fn bulk_or_null(reply: &mut Reply<'_>, element: Option<Element<'_>>) {
    match element {
        Some(element) => bulk(reply, element),
        None => reply.null(),
    }
}
