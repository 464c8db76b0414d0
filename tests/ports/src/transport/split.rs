//! Both programs on landline: one thread blocks in `recv`, and any thread sends.

use std::thread::{self, JoinHandle};

use landline::{Builder, CloseCode, Sender};

use super::{OnText, Transport};

struct Split {
    sender: Sender,
    reader: JoinHandle<()>,
}

pub fn connect(url: &str, mut on_text: OnText) -> Box<dyn Transport> {
    let ws = Builder::new().proxy(None).connect(url).unwrap();
    let (mut receiver, sender) = ws.split();
    let reader = thread::spawn(move || {
        for message in receiver.messages() {
            on_text(message.unwrap().as_text().unwrap());
        }
    });
    Box::new(Split { sender, reader })
}

impl Transport for Split {
    fn send(&self, text: String) {
        self.sender.send(text).unwrap();
    }

    fn stop(self: Box<Self>) {
        self.sender.close(CloseCode::NORMAL).unwrap();
        self.reader.join().unwrap();
    }
}
