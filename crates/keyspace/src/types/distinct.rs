//! Whether elements that came from outside are distinct, as members and fields must be.

use super::listpack::Element;
use crate::hashing;

/// Whether no two of the elements have the same text. O(n log n), with one hash for each.
pub(super) fn are_distinct<'a>(elements: impl Iterator<Item = Element<'a>>) -> bool {
    let mut hashed: Vec<(u64, Element<'a>)> =
        elements.map(|element| (hashing::hash(element.as_bytes(&mut [0; 20])), element)).collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    hashed.windows(2).all(|pair| pair[0].0 != pair[1].0 || !have_same_text(pair[0].1, pair[1].1))
}

fn have_same_text(one: Element<'_>, other: Element<'_>) -> bool {
    one.eq_bytes(other.as_bytes(&mut [0; 20]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_duplicates() {
        let check = |elements: &[Element<'_>], expected: bool| {
            assert_eq!(are_distinct(elements.iter().copied()), expected, "{elements:?}");
        };
        check(&[], true);
        check(&[Element::Str(b"a"), Element::Int(1), Element::Str(b"b"), Element::Int(-1)], true);
        check(&[Element::Str(b"a"), Element::Int(1), Element::Str(b"a")], false);
        check(&[Element::Int(1), Element::Int(2), Element::Int(1)], false);
        // A file may hold an integer as text.
        check(&[Element::Int(1), Element::Str(b"1")], false);
    }
}
