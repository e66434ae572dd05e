//! Messages with every field set, made of nothing but their descriptors.

use backfence_wire::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// How deep messages within messages are filled. None of ours is as deep, but one that
/// holds itself would never end.
const DEPTH: u32 = 8;

/// The samples of a message: every field is set, to another value than its default. Where
/// there is a choice of fields there is a sample for each.
pub(crate) fn samples(message: &MessageDescriptor) -> Vec<DynamicMessage> {
    let choices = message.oneofs().map(|oneof| oneof.fields().count());
    let samples = 0..choices.max().unwrap_or(1);
    samples
        .map(|choice| sample(message, choice, DEPTH))
        .collect()
}

fn sample(message: &MessageDescriptor, choice: usize, depth: u32) -> DynamicMessage {
    let mut sample = DynamicMessage::new(message.clone());
    if depth == 0 {
        return sample;
    }
    for field in message.fields() {
        let is_chosen = field.containing_oneof().is_none_or(|oneof| {
            let last = oneof.fields().count() - 1;
            oneof.fields().nth(choice.min(last)) == Some(field.clone())
        });
        if is_chosen {
            sample.set_field(&field, value(&field, depth));
        }
    }
    sample
}

fn value(field: &FieldDescriptor, depth: u32) -> Value {
    assert!(!field.is_map(), "{field:?}: there were no maps yet");
    if field.is_list() {
        Value::List(vec![item(field, 0, depth), item(field, 1, depth)])
    } else {
        item(field, 0, depth)
    }
}

/// The value of the field, or an item of it. Values tell fields and types apart, also types
/// that look alike on the wire.
fn item(field: &FieldDescriptor, place: u32, depth: u32) -> Value {
    let small = 1_000 * (place + 1) + field.number();
    let large = ((u64::from(place) + 1) << 40) + u64::from(field.number());
    let text = format!("{} {place}", field.name());
    match field.kind() {
        Kind::Bool => Value::Bool(true),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(small),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(large),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-(small as i32)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(-(large as i64)),
        Kind::Float => Value::F32(small as f32 + 0.5),
        Kind::Double => Value::F64(f64::from(small) + 0.5),
        Kind::String => Value::String(text),
        // No text is so.
        Kind::Bytes => Value::Bytes(Bytes::from([&[0xff], text.as_bytes()].concat())),
        Kind::Enum(of) => {
            let last = of.values().map(|value| value.number()).max();
            Value::EnumNumber(
                last.filter(|&last| last != 0)
                    .expect("it has others than 0"),
            )
        }
        Kind::Message(of) => Value::Message(sample(&of, 0, depth - 1)),
    }
}
