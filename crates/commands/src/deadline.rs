//! Times at which keys expire, as clients write them: seconds or milliseconds, from now or since 1970.
//!
//! All end as Unix milliseconds, because that is what is stored and journalled: a journal is replayed later, when "in ten
//! seconds" means something else. Sums and products are checked; what leaves 64 bits is an invalid expiry.

use crate::args::Args;
use crate::error::CommandError;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Seconds from now (`EX`).
    Seconds,
    /// Milliseconds from now (`PX`).
    Milliseconds,
    /// Seconds since 1970 (`EXAT`).
    UnixSeconds,
    /// Milliseconds since 1970 (`PXAT`).
    UnixMilliseconds,
}

impl TimeForm {
    /// The form that an option of SET, GETEX and their like announces.
    pub fn by_option(word: &[u8]) -> Option<Self> {
        match word {
            [b'e' | b'E', b'x' | b'X'] => Some(Self::Seconds),
            [b'p' | b'P', b'x' | b'X'] => Some(Self::Milliseconds),
            _ if word.eq_ignore_ascii_case(b"EXAT") => Some(Self::UnixSeconds),
            _ if word.eq_ignore_ascii_case(b"PXAT") => Some(Self::UnixMilliseconds),
            _ => None,
        }
    }

    /// Whether it counts since 1970.
    pub fn is_absolute(self) -> bool {
        matches!(self, Self::UnixSeconds | Self::UnixMilliseconds)
    }

    /// The time in Unix milliseconds, past or future; `None` if that leaves 64 bits.
    pub fn to_unix_ms(self, amount: i64, now_ms: u64) -> Option<i64> {
        let in_ms = match self {
            Self::Seconds | Self::UnixSeconds => amount.checked_mul(1000)?,
            Self::Milliseconds | Self::UnixMilliseconds => amount,
        };
        let base = if self.is_absolute() { 0 } else { i64::try_from(now_ms).ok()? };
        in_ms.checked_add(base)
    }

    /// Argument `index` as a time after 1970, in Unix milliseconds. `command` names the command in the error.
    ///
    /// # Errors
    /// `NotInteger`, or `InvalidExpire` if it is not positive or too far away.
    pub fn deadline_ms(
        self,
        args: Args<'_>,
        index: usize,
        now_ms: u64,
        command: &'static str,
    ) -> Result<u64, CommandError> {
        let amount = args.int(index)?;
        let unix_ms = if amount > 0 { self.to_unix_ms(amount, now_ms) } else { None };
        unix_ms.and_then(|ms| u64::try_from(ms).ok()).ok_or(CommandError::InvalidExpire(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_unix_milliseconds_or_nothing() {
        let now_ms = 1_000_000;
        for (form, amount, expected) in [
            (TimeForm::Seconds, 10, Some(1_010_000)),
            (TimeForm::Milliseconds, -5, Some(999_995)),
            (TimeForm::UnixSeconds, 10, Some(10_000)),
            (TimeForm::UnixMilliseconds, i64::MAX, Some(i64::MAX)),
            (TimeForm::Milliseconds, i64::MAX - 999_999, None),
            (TimeForm::Milliseconds, i64::MAX - 1_000_000, Some(i64::MAX)),
            (TimeForm::UnixSeconds, i64::MAX / 1000 + 1, None),
            (TimeForm::Seconds, i64::MIN, None),
        ] {
            assert_eq!(form.to_unix_ms(amount, now_ms), expected, "{form:?} {amount}");
        }
    }

    #[test]
    fn options_name_the_form_in_any_case() {
        assert_eq!(TimeForm::by_option(b"eX"), Some(TimeForm::Seconds));
        assert_eq!(TimeForm::by_option(b"pxAT"), Some(TimeForm::UnixMilliseconds));
        assert_eq!(TimeForm::by_option(b"EXA"), None);
    }
}
