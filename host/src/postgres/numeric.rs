//! NUMERIC in PostgreSQL's binary format, exact: digits to the base of 10,000, and where
//! the point is.

use crate::error::{Error, Result, SqlState};
use tokio_postgres::types::private::BytesMut;

const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0x0000;
/// Decimal digits in one of the server's.
const GROUP: usize = 4;
const HEADER_BYTES: usize = 8;

/// `-12.50`, which has the form of the contract's `decimal`.
pub(super) fn encode(text: &str, out: &mut BytesMut) -> Result<()> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (POSITIVE, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole = whole.trim_start_matches('0');
    let padding = whole.len().next_multiple_of(GROUP) - whole.len();
    let mut digits = "0".repeat(padding) + whole + fraction;
    let groups_before = (padding + whole.len()) / GROUP;
    digits.push_str(&"0".repeat(fraction.len().next_multiple_of(GROUP) - fraction.len()));
    let groups: Vec<u16> = digits
        .as_bytes()
        .chunks(GROUP)
        .map(|group| group.iter().fold(0, |n, c| n * 10 + u16::from(c - b'0')))
        .collect();
    let count = i16::try_from(groups.len()).map_err(|_| too_long())?;
    let weight = i16::try_from(groups_before).map_err(|_| too_long())? - 1;
    let scale = i16::try_from(fraction.len()).map_err(|_| too_long())?;
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
    Ok(())
}

/// All digits that the server has of it.
pub(super) fn decode(bytes: &[u8]) -> Result<String> {
    let number = |at: usize| match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Error::internal("a NUMERIC was cut off")),
    };
    let (count, weight) = (i32::from(number(0)?), i32::from(number(2)? as i16));
    let sign = match number(4)? {
        POSITIVE => "",
        NEGATIVE => "-",
        _ => return Err(not_a_number()),
    };
    let scale = usize::from(number(6)?);
    let group = |index: i32| match (0..count).contains(&index) {
        true => number(HEADER_BYTES + 2 * index as usize),
        false => Ok(0),
    };
    let mut text = sign.to_string();
    for index in 0..=weight {
        match index {
            0 => text.push_str(&group(index)?.to_string()),
            _ => text.push_str(&format!("{:04}", group(index)?)),
        }
    }
    if weight < 0 {
        text.push('0');
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut index = weight + 1;
        // Groups that stand for nothing between the point and the first one.
        if weight < 0 {
            for _ in weight + 1..0 {
                text.push_str("0000");
            }
            index = 0;
        }
        while text.len() < end {
            text.push_str(&format!("{:04}", group(index)?));
            index += 1;
        }
        text.truncate(end);
    }
    Ok(text)
}

fn too_long() -> Error {
    Error::new(SqlState::OUT_OF_RANGE, "the number has too many digits")
}

fn not_a_number() -> Error {
    Error::new(
        SqlState::OUT_OF_RANGE,
        "the number is infinite, or none, and cannot be carried",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits() {
        for text in [
            "0",
            "1",
            "-1",
            "10000",
            "9999",
            "12345678.9",
            "-12.50",
            "0.1",
            "0.00000001",
            "0.000012345",
            "-0.0001",
            "100000000000000000000.000000000000000001",
            "1.0",
            "0.00",
        ] {
            let mut bytes = BytesMut::new();
            encode(text, &mut bytes).unwrap();
            assert_eq!(decode(&bytes).unwrap(), text);
        }
        let mut bytes = BytesMut::new();
        encode("0012", &mut bytes).unwrap();
        assert_eq!(decode(&bytes).unwrap(), "12");
    }

    #[test]
    fn what_is_no_number_is_refused_and_a_cut_one_too() {
        let bytes = [0, 0, 0, 0, 0xc0, 0, 0, 0];
        assert_eq!(
            decode(&bytes).unwrap_err().sqlstate(),
            SqlState::OUT_OF_RANGE
        );
        assert!(decode(&bytes[..5]).is_err());
        assert!(decode(&[0, 2, 0, 1, 0, 0, 0, 0, 0, 1]).is_err());
        let digits = "1".repeat(200_000);
        assert!(encode(&digits, &mut BytesMut::new()).is_err());
    }
}
