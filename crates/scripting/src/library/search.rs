//! Where bytes are in others: C's searches, which are several times as fast as a loop.

use super::stack::Stack;
use crate::lua::function::Raise;

/// So many bytes are searched between two looks.
const SLICE_BYTES: usize = 1 << 16;

/// So many bytes of what is sought are searched for; the rest is compared.
const HEAD_BYTES: usize = 256;

/// Where a text is in another first. Looks in slices, in each for the text's head.
///
/// # Errors
/// The script was killed.
pub(super) fn find(stack: Stack, text: &[u8], sought: &[u8]) -> Result<Option<usize>, Raise> {
    let (head, rest) = sought.split_at(sought.len().min(HEAD_BYTES));
    let mut from = 0;
    while text.len() - from >= sought.len() {
        let slice_end = text.len().min(from + SLICE_BYTES);
        let slice = &text[from..slice_end];
        match find_in(slice, head) {
            Some(ahead) => {
                let at = from + ahead;
                if text[at + head.len()..].starts_with(rest) {
                    return Ok(Some(at));
                }
                stack.tick(((ahead + rest.len()) / 16 + 1) as u32)?;
                from = at + 1;
            }
            None if slice_end == text.len() => return Ok(None),
            None => {
                stack.tick((slice.len() / 8) as u32)?;
                // The head may begin in this slice and end in the next.
                from = slice_end + 1 - head.len().max(1);
            }
        }
    }
    Ok(None)
}

/// Where a short text is in a slice first.
fn find_in(slice: &[u8], sought: &[u8]) -> Option<usize> {
    // SAFETY: both are so long as is said, and only read.
    let found = unsafe {
        libc::memmem(slice.as_ptr().cast(), slice.len(), sought.as_ptr().cast(), sought.len()).cast::<u8>()
    };
    (!found.is_null()).then(|| found.addr() - slice.as_ptr().addr())
}

/// Where a byte is first.
pub(super) fn find_byte(bytes: &[u8], sought: u8) -> Option<usize> {
    // SAFETY: as many bytes as are said are read.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(sought), bytes.len()).cast::<u8>() };
    (!found.is_null()).then(|| found.addr() - bytes.as_ptr().addr())
}
