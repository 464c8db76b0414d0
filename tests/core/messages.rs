//! RFC 6455 section 5.6: what a message says of itself.

use landline::{Message, MessageKind, MessageRef};

#[test]
fn a_message_tells_its_kind_and_its_length() {
    for (message, kind, len) in [
        (Message::from("é"), MessageKind::Text, 2),
        (Message::from(""), MessageKind::Text, 0),
        (Message::from(b"bin"), MessageKind::Binary, 3),
        (Message::from([]), MessageKind::Binary, 0),
    ] {
        let is_text = kind == MessageKind::Text;
        assert_eq!((message.kind(), message.len(), message.is_empty()), (kind, len, len == 0));
        assert_eq!((message.is_text(), message.is_binary()), (is_text, !is_text));
        let borrowed = MessageRef::from(&message);
        assert_eq!((borrowed.kind(), borrowed.len(), borrowed.is_empty()), (kind, len, len == 0));
        assert_eq!((borrowed.is_text(), borrowed.is_binary()), (is_text, !is_text));
    }
    assert_eq!(Message::from("text").into_text(), Ok("text".to_owned()));
    // Nothing is lost.
    assert_eq!(Message::from(b"bin").into_text(), Err(Message::from(b"bin")));
}
