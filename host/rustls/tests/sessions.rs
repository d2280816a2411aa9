//! The store of one connection, called as rustls calls it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use innkeeper_core::{Callback, Miss, NativeLru, Secret};
use innkeeper_doubles::{TestCache, patient};
use innkeeper_rustls::{ClientAuth, Resumption, ServerSessions, TlsIdentity, prepare};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer, server::StoresServerSessions};

struct Tenant {
    cache: TestCache,
    sessions: ServerSessions,
    config: ServerConfig,
}

impl Tenant {
    fn open() -> Self {
        let cache = TestCache::open(patient(), Arc::new(NativeLru));
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], key)
            .unwrap();
        prepare(&mut config, 0);
        let sessions = ServerSessions::new(cache.reader.clone(), identity(ClientAuth::None));
        Self { cache, sessions, config }
    }

    fn connection(&self, server_name: &str) -> Arc<dyn StoresServerSessions> {
        Arc::clone(&self.sessions.scoped(&self.config, server_name).config.session_storage)
    }

    fn lookups(&self) -> u64 {
        self.cache.owner.stats().calls(Callback::Lookup)
    }
}

const KEY: [u8; 32] = [7; 32];

fn identity(client_auth: ClientAuth) -> TlsIdentity {
    TlsIdentity::new(client_auth, &[], &[], &[], b"")
}

#[test]
fn a_session_of_one_tls_configuration_is_unknown_under_another() {
    let mut tenant = Tenant::open();
    let open = tenant.connection("a");
    assert!(open.can_cache() && open.put(KEY.to_vec(), b"1.2".to_vec()));
    tenant.connection("a").put(KEY.to_vec(), b"1.3".to_vec());
    tenant.cache.owner.settle();
    let first = std::mem::replace(
        &mut tenant.sessions,
        ServerSessions::new(tenant.cache.reader.clone(), identity(ClientAuth::Required)),
    );
    assert_eq!((tenant.connection("a").get(&KEY), tenant.connection("a").take(&KEY)), (None, None));
    assert_eq!(tenant.lookups(), 0, "the guest is not asked");
    tenant.sessions = first;
    assert!(tenant.connection("a").get(&KEY).is_some() && tenant.connection("a").take(&KEY).is_some());
}

#[test]
fn a_chain_of_resumptions_ends_with_the_first_sessions_life() {
    let mut tenant = Tenant::open();
    let hour_ms = 60 * 60 * 1_000;
    tenant.connection("a").put(vec![0; 32], b"first".to_vec());
    for link in 1..=24_u8 {
        tenant.cache.owner.settle();
        let connection = tenant.connection("a");
        assert!(connection.take(&[link - 1; 32]).is_some(), "after {} hours", link - 1);
        connection.put(vec![link; 32], b"renewed".to_vec());
        tenant.cache.owners.clock().advance(hour_ms);
    }
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("a").take(&[24; 32]), None);
}

#[test]
fn what_a_connection_stores_after_a_revocation_is_refused() {
    let mut tenant = Tenant::open();
    let before = tenant.connection("a");
    tenant.cache.reader.mailbox().revoke();
    before.put(KEY.to_vec(), b"session".to_vec());
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("a").take(&KEY), None);
    tenant.connection("a").put(KEY.to_vec(), b"session".to_vec());
    tenant.cache.owner.settle();
    assert!(tenant.connection("a").take(&KEY).is_some());
}

#[test]
fn a_session_is_given_where_all_the_early_data_that_it_promises_is_allowed_or_none() {
    for (promised, allowed, is_given) in [
        (0, 0, true),
        (0, 100, true),
        (100, 100, true),
        (100, 16_384, true),
        (16_384, 0, true),
        (16_384, 100, false),
        (16_384, 16_383, false),
        (u32::MAX, 1 << 20, false),
    ] {
        let mut tenant = Tenant::open();
        prepare(&mut tenant.config, promised);
        assert!(tenant.connection("a").put(KEY.to_vec(), b"1.3".to_vec()));
        let tls12 = tenant.connection("a");
        assert!(tls12.can_cache() && tls12.put(KEY.to_vec(), b"1.2".to_vec()));
        tenant.cache.owner.settle();
        prepare(&mut tenant.config, allowed);
        let scoped = tenant.sessions.scoped(&tenant.config, "a");
        let given = scoped.config.session_storage.take(&KEY);
        let expected = is_given.then_some(b"1.3".as_slice());
        assert_eq!(given.as_deref(), expected, "{promised} promised, {allowed} allowed");
        if !is_given {
            assert_eq!(scoped.resumption(false), Resumption::Refused);
        }
        assert_eq!(tenant.connection("a").get(&KEY).as_deref(), Some(b"1.2".as_slice()), "TLS 1.2 has no early data");
    }
}

#[test]
fn a_tls13_session_is_taken_once() {
    let mut tenant = Tenant::open();
    assert!(tenant.connection("a").put(KEY.to_vec(), b"session".to_vec()));
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("a").take(&KEY).as_deref(), Some(b"session".as_slice()));
    assert_eq!(tenant.connection("a").take(&KEY), None);
    assert_eq!(tenant.lookups(), 1);
}

#[test]
fn a_tls12_session_is_looked_up_often() {
    let mut tenant = Tenant::open();
    let first = tenant.connection("a");
    assert!(first.can_cache());
    assert!(first.put(KEY.to_vec(), b"session".to_vec()));
    tenant.cache.owner.settle();
    for _ in 0..3 {
        assert_eq!(tenant.connection("a").get(&KEY).as_deref(), Some(b"session".as_slice()));
    }
    assert_eq!(tenant.lookups(), 3);
}

#[test]
fn a_session_of_one_tls_version_is_unknown_in_the_other() {
    let mut tenant = Tenant::open();
    let tls12 = tenant.connection("a");
    assert!(tls12.can_cache());
    tls12.put(KEY.to_vec(), b"1.2".to_vec());
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("a").take(&KEY), None);
    assert_eq!(tenant.connection("a").get(&KEY).as_deref(), Some(b"1.2".as_slice()), "it has not been used up");
    let tls13 = tenant.connection("a");
    tls13.put(KEY.to_vec(), b"1.3".to_vec());
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("a").get(&KEY).as_deref(), Some(b"1.2".as_slice()));
    assert_eq!(tenant.connection("a").take(&KEY).as_deref(), Some(b"1.3".as_slice()));
}

#[test]
fn a_session_of_one_server_name_is_unknown_under_another() {
    let mut tenant = Tenant::open();
    tenant.connection("a").put(KEY.to_vec(), b"session".to_vec());
    tenant.cache.owner.settle();
    assert_eq!(tenant.connection("b").take(&KEY), None);
    assert!(tenant.connection("a").take(&KEY).is_some());
}

#[test]
fn a_key_of_another_length_is_nobodys() {
    let mut tenant = Tenant::open();
    for length in [0, 1, 31, 33, 65_535] {
        assert!(!tenant.connection("a").put(vec![7; length], b"session".to_vec()), "{length}");
        assert_eq!(tenant.connection("a").get(&vec![7; length]), None, "{length}");
        assert_eq!(tenant.connection("a").take(&vec![7; length]), None, "{length}");
    }
    tenant.cache.owner.settle();
    let stats = tenant.cache.owner.stats();
    assert_eq!((stats.sessions, stats.misses.iter().sum::<u64>()), (0, 0), "the cache never hears of them");
}

#[test]
fn one_connection_asks_the_guest_twice_at_most() {
    let mut tenant = Tenant::open();
    let key = |number: u8| vec![number; 32];
    for number in 0..10 {
        tenant.connection("a").put(key(number), b"session".to_vec());
    }
    tenant.cache.owner.settle();
    let greedy = tenant.connection("a");
    let taken = (0..10).filter(|number| greedy.take(&key(*number)).is_some()).count();
    assert_eq!((taken, tenant.lookups()), (2, 2));
    assert_eq!(
        tenant.connection("a").take(&key(9)).as_deref(),
        Some(b"session".as_slice()),
        "others are not the poorer"
    );
}

#[test]
fn made_up_keys_cost_no_guest_call_and_spend_nothing() {
    let mut tenant = Tenant::open();
    tenant.connection("a").put(KEY.to_vec(), b"session".to_vec());
    tenant.cache.owner.settle();
    let connection = tenant.connection("a");
    for number in 0..1_000_u32 {
        assert_eq!(connection.take(&number.to_be_bytes().repeat(8)), None);
    }
    assert_eq!((tenant.lookups(), tenant.cache.owner.stats().misses(Miss::Absent)), (0, 1_000));
    assert!(connection.take(&KEY).is_some());
}

#[test]
fn nothing_secret_is_in_a_debug_text() {
    let tenant = Tenant::open();
    let connection = tenant.connection("a");
    connection.put(KEY.to_vec(), b"session".to_vec());
    let text = format!("{connection:?} {:?} {:?}", tenant.sessions, Secret::new(b"session".to_vec()));
    assert!(!text.contains("session\"") && !text.contains("115, 101"), "{text}");
}

#[test]
fn a_connection_tells_why_it_did_not_resume() {
    let mut tenant = Tenant::open();
    let scoped = |tenant: &Tenant| tenant.sessions.scoped(&tenant.config, "a");
    let none = scoped(&tenant);
    assert_eq!((none.resumption(false), none.resumption(true)), (Resumption::NotOffered, Resumption::Resumed));
    none.config.session_storage.take(&[7; 31]);
    assert_eq!(none.resumption(false), Resumption::Missed(Miss::Absent), "a key of another length");
    for number in 0..4_u8 {
        tenant.connection("a").put(vec![number; 32], b"session".to_vec());
    }
    tenant.cache.owner.settle();
    let refused = scoped(&tenant);
    assert!(refused.config.session_storage.take(&[0; 32]).is_some());
    assert_eq!(refused.resumption(false), Resumption::Refused, "given, and not resumed");
    tenant.cache.reader.mailbox().suspend();
    let greedy = scoped(&tenant);
    greedy.config.session_storage.take(&KEY);
    greedy.config.session_storage.take(&[1; 32]);
    assert_eq!(greedy.resumption(false), Resumption::Missed(Miss::Down), "the first cause that says more than absent");
    (2..4).for_each(|number| _ = greedy.config.session_storage.take(&[number; 32]));
    assert_eq!(greedy.resumption(false), Resumption::TooManyAsks);
    assert_eq!(Resumption::Missed(Miss::FalseClaim).name(), "false-claim");
}
