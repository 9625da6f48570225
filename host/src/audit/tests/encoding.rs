//! The bytes of an entry, and the limits of its texts.

use super::*;
use crate::audit::entry::{Body, link};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sealed(record: &Record<'_>) -> (Vec<u8>, Position) {
    let mut batch = Batch::new();
    batch.push(record);
    let position = batch.seal(Position::START, 1_000_000);
    (batch.bytes().to_vec(), position)
}

fn longest(character: char) -> Entry {
    let text = character.to_string().repeat(100_000);
    let log = Log::open(None).unwrap();
    let record = Record {
        execution_id: ExecutionId {
            opened_at: u64::MAX,
            number: u64::MAX,
        },
        function_name: &text,
        function_version: Some(u64::MAX),
        caller: &text,
        capability: Some(&text),
        target: Some(&text),
        detail: Some(&text),
        ..record(&log)
    };
    let mut batch = Batch::new();
    batch.push(&record);
    assert!(batch.bytes().len() <= 64 * 1024);
    log.append(&mut batch, Durability::Written).unwrap();
    assert_eq!(log.verify().unwrap().entries, 1);
    all(&log).remove(0)
}

/// These bytes are what other verifiers read: a change needs a new format version.
#[test]
fn an_entry_has_these_bytes() {
    let full = Record {
        event: EventType::CapabilityCheck,
        execution_id: ExecutionId {
            opened_at: 0x1f,
            number: 0x2a,
        },
        function_name: "f",
        function_version: Some(3),
        caller: "alice",
        capability: Some("TIME_ACCESS"),
        target: Some(""),
        allowed: Some(false),
        detail: Some("{}"),
    };
    let (bytes, position) = sealed(&full);
    let body = concat!(
        "0100000000000000",           // seq
        "40420f0000000000",           // timestamp
        "04",                         // event type
        "00",                         // allowed
        "010300000000000000",         // function version
        "050031662d3261",             // execution id
        "010066",                     // function name
        "0500616c696365",             // caller
        "0b0054494d455f414343455353", // capability
        "0000",                       // target
        "02007b7d",                   // detail
    );
    let hash = "c95975f7b032df8db763c2b3e85d3947186d60edf86795b448970aa8f1d78a62";
    assert_eq!(hex(&bytes), format!("3f000000c0ffffff{body}{hash}"));
    assert_eq!(hex(&position.hash), hash);

    let sparse = Record {
        event: EventType::ExecutionStarted,
        function_version: None,
        capability: None,
        target: None,
        allowed: None,
        detail: None,
        ..full
    };
    let body = concat!(
        "010000000000000040420f0000000000",
        "01ff000000000000000000",
        "050031662d3261010066",
        "0500616c696365ffffffffffff",
    );
    let hash = "d1ee0ae744c087993e38a64f05269392d8ac9b2630d1e9166889655f9e0f90b0";
    assert_eq!(
        hex(&sealed(&sparse).0),
        format!("32000000cdffffff{body}{hash}")
    );
}

#[test]
fn ids_are_written_as_they_are_shown() {
    for (opened_at, number) in [(0, 0), (1, 16), (0xabc, 0xfff), (u64::MAX, 0x1000)] {
        let id = ExecutionId { opened_at, number };
        let log = Log::open(None).unwrap();
        append(
            &log,
            &[Record {
                execution_id: id,
                ..record(&log)
            }],
            Durability::Written,
        )
        .unwrap();
        assert_eq!(all(&log)[0].execution_id, id.to_string());
    }
    assert_eq!(
        ExecutionId {
            opened_at: 0x1f,
            number: 0x2a
        }
        .to_string(),
        "1f-2a"
    );
}

#[test]
fn event_types_have_numbers_and_names_of_their_own() {
    let numbers = EventType::ALL.map(|event| event as u8);
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    for event in EventType::ALL {
        assert_eq!(event.name(), format!("{event:?}"));
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    for character in ['a', 'é', '€', '🦀'] {
        let entry = longest(character);
        for (text, most) in [
            (&entry.function_name, 4096),
            (&entry.caller, 4096),
            (entry.capability.as_ref().unwrap(), 4096),
            (entry.target.as_ref().unwrap(), 16384),
        ] {
            assert!((most - 6..=most).contains(&text.len()));
            assert!(
                text.strip_suffix('…')
                    .unwrap()
                    .chars()
                    .all(|c| c == character)
            );
        }
        assert_eq!(entry.function_version, Some(i64::MAX as u64));
    }
}

#[test]
fn a_long_detail_stays_json() {
    for character in ['a', '"', '\u{1}', '🦀'] {
        let detail = longest(character).detail.unwrap();
        let text: String = serde_json::from_str(&detail).unwrap();
        assert!(
            text.strip_suffix('…')
                .unwrap()
                .chars()
                .all(|c| c == character)
        );
        assert!(text.len() > 5000);
    }
}

#[test]
fn a_body_has_one_encoding() {
    let log = Log::open(None).unwrap();
    let (bytes, _) = sealed(&record(&log));
    let body = &bytes[8..bytes.len() - 32];
    assert!(Body::decode(body).is_some());
    for length in 0..body.len() {
        assert!(Body::decode(&body[..length]).is_none());
    }
    assert!(Body::decode(&[body, &[0]].concat()).is_none());
    // An event type, an answer, a tag and a version that do not exist; a version
    // beside its absence; texts that are missing, or not UTF-8.
    let wrong: [(usize, &[u8]); 8] = [
        (16, &[0]),
        (16, &[200]),
        (17, &[2]),
        (18, &[2]),
        (26, &[0x80]),
        (18, &[0]),
        (27, &[0xff, 0xff]),
        (29, &[0xff]),
    ];
    for (at, bytes) in wrong {
        let mut body = body.to_vec();
        body[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(Body::decode(&body).is_none(), "{bytes:?} at {at}");
    }
}

#[test]
fn the_hash_is_of_domain_previous_hash_and_body() {
    let bytes = [b"perihelion.log.1".as_slice(), &[7; 32], b"body"].concat();
    assert_eq!(link(&[7; 32], b"body"), *blake3::hash(&bytes).as_bytes());
}
