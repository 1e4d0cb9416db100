use super::*;
use crate::config::Config;
use tidegate_persistence::journal::NullJournal;

fn shared() -> Shared {
    Shared::new(Config::for_this_process(), &[], Arc::new(NullJournal)).expect("the defaults are fine")
}

fn client(shared: &Shared) -> Arc<Client> {
    let id = shared.clients.next_id();
    let client = Arc::new(Client::new(id, String::new(), String::new(), 0, 0, false, true));
    shared.clients.add(&client);
    client
}

fn received(client: &Client) -> String {
    let mut out = Vec::new();
    client.mailbox.take_into(&mut out);
    String::from_utf8(out).unwrap().replace("\r\n", " ")
}

fn publish(shared: &Shared, topic: Topic, channel: &[u8], message: &[u8]) -> Published {
    shared.pubsub.publish(shared, topic, channel, message, &mut Bells::default())
}

fn name(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

#[test]
fn a_message_reaches_who_listens() {
    let shared = shared();
    let (one, two) = (client(&shared), client(&shared));
    two.mailbox.speak(Protocol::Resp3);
    shared.pubsub.subscribe(Topic::Channel, &name("c"), &one);
    shared.pubsub.subscribe(Topic::Channel, &name("c"), &two);
    shared.pubsub.subscribe(Topic::Pattern, &name("[a-d]"), &two);
    shared.pubsub.subscribe(Topic::ShardChannel, &name("c"), &one);
    assert_eq!(publish(&shared, Topic::Channel, b"c", b"hi").receivers, 3);
    assert_eq!(received(&one), "*3 $7 message $1 c $2 hi ");
    assert_eq!(received(&two), ">3 $7 message $1 c $2 hi >4 $8 pmessage $5 [a-d] $1 c $2 hi ");
    assert_eq!(publish(&shared, Topic::ShardChannel, b"c", b"").receivers, 1);
    assert_eq!(received(&one), "*3 $8 smessage $1 c $0  ");
    assert_eq!(publish(&shared, Topic::Channel, b"e", b"hi").receivers, 0);
}

#[test]
fn what_nobody_listens_to_is_forgotten() {
    let shared = shared();
    let client = client(&shared);
    for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
        shared.pubsub.subscribe(topic, &name("c"), &client);
        assert_eq!((shared.pubsub.len(topic), shared.pubsub.subscribers(topic, b"c")), (1, 1));
        shared.pubsub.unsubscribe(topic, b"c", &client);
        shared.pubsub.unsubscribe(topic, b"c", &client);
        assert_eq!((shared.pubsub.len(topic), shared.pubsub.subscribers(topic, b"c")), (0, 0));
    }
    assert!(shared.pubsub.is_silent());
}

#[test]
fn a_subscriber_that_was_killed_is_gone_at_once() {
    let shared = shared();
    let (one, two) = (client(&shared), client(&shared));
    for client in [&one, &two] {
        shared.pubsub.subscribe(Topic::Channel, &name("c"), client);
    }
    shared.clients.kill(&one);
    assert_eq!(shared.pubsub.subscribers(Topic::Channel, b"c"), 1);
    assert_eq!(publish(&shared, Topic::Channel, b"c", b"").receivers, 1);
    shared.clients.kill(&two);
    assert!(shared.pubsub.names(Topic::Channel, |_| true).is_empty());
}

#[test]
fn a_laggard_is_closed_where_its_limit_is_and_its_messages_are_dropped() {
    let shared = shared();
    let (laggard, other) = (client(&shared), client(&shared));
    for client in [&laggard, &other] {
        shared.pubsub.subscribe(Topic::Channel, &name("c"), client);
    }
    let message = vec![b'x'; 1 << 20];
    // 32 MB is the limit of subscribers.
    for n in 1..=40 {
        publish(&shared, Topic::Channel, b"c", &message);
        received(&other);
        assert_eq!(laggard.killed.load(Relaxed), n >= 32, "after {n} messages");
        assert!(laggard.mailbox.len() <= 32 << 20);
    }
    assert_eq!(laggard.mailbox.len(), 0);
    assert!(!other.killed.load(Relaxed));
}
