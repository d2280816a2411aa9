//! Guests with one mistake each: replacements of text in `guests/rust/lru/src/lib.rs`. A sound suite tells every one of
//! them from the guest itself.

/// One mistake: the guest's text with `to` instead of `from`.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The mutant's name.
    pub name: &'static str,
    /// Its mistake.
    pub what: &'static str,
    /// The text to replace, which occurs once.
    pub from: &'static str,
    /// The replacement.
    pub to: &'static str,
    /// The name of the case that finds it.
    pub case: &'static str,
}

/// Every mistake, callback by callback.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "delete-forgets-nothing",
        what: "`delete` does nothing",
        from: UPDATE_AND_DELETE,
        to: r"    fn update(&mut self, key: Key, session: Session) {
        fn forget(lru: &mut Lru, key: Key) {
            if let Some(place) = lru.places.remove(key) {
                lru.recency.remove(place);
            }
        }
        forget(self, key);
        if self.recency.len() >= self.sessions_max
            && let Some(oldest) = self.recency.front()
        {
            let (key, session) = *self.recency.get(oldest);
            forget(self, key);
            host::evict(session);
        }
        self.places.insert(key, self.recency.push_back((key, session)));
    }

    fn delete(&mut self, _: Key) {}
",
        case: "04 alone: delete forgets one key, and an absent one is no error",
    },
    Mutant {
        name: "delete-absent-traps",
        what: "`delete` of a key that it does not know traps",
        from: UPDATE_AND_DELETE,
        to: r#"    fn update(&mut self, key: Key, session: Session) {
        fn forget(lru: &mut Lru, key: Key) {
            if let Some(place) = lru.places.remove(key) {
                lru.recency.remove(place);
            }
        }
        forget(self, key);
        if self.recency.len() >= self.sessions_max
            && let Some(oldest) = self.recency.front()
        {
            let (key, session) = *self.recency.get(oldest);
            forget(self, key);
            host::evict(session);
        }
        self.places.insert(key, self.recency.push_back((key, session)));
    }

    fn delete(&mut self, key: Key) {
        let place = self.places.remove(key).expect("the key is known");
        self.recency.remove(place);
    }
"#,
        case: "04 alone: delete forgets one key, and an absent one is no error",
    },
    Mutant {
        name: "delete-forgets-partial",
        what: "`delete` of a known key forgets all of its partial key",
        from: r"    fn delete(&mut self, key: Key) {
        if let Some(place) = self.places.remove(key) {
",
        to: r"    fn delete(&mut self, key: Key) {
        let known = self.places.get(key).map(|_| key.partial).into_iter();
        let all: Vec<Key> = known.flat_map(|partial| self.places.of_partial(partial).map(|(own, _)| own)).collect();
        for place in all.into_iter().filter_map(|own| self.places.remove(own)) {
",
        case: "04 alone: delete forgets one key, and an absent one is no error",
    },
    Mutant {
        name: "delete-hides-only",
        what: "a deleted key is still counted, and shown by a fold",
        from: r"            self.recency.remove(place);
",
        to: r"            let _ = place;
",
        case: "04 alone: delete forgets one key, and an absent one is no error",
    },
    Mutant {
        name: "update-keeps-old",
        what: "`update` of a known key leaves the old session there",
        from: r"    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if",
        to: r"    fn update(&mut self, key: Key, session: Session) {
        if self.places.get(key).is_some() {
            return;
        }
        if",
        case: "03 alone: update twice overwrites",
    },
    Mutant {
        name: "update-keeps-both",
        what: "`update` of a known key leaves the old session in the order of use",
        from: r"    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if",
        to: r"    fn update(&mut self, key: Key, session: Session) {
        if",
        case: "03 alone: update twice overwrites",
    },
    Mutant {
        name: "update-every-hundredth",
        what: "every hundredth `update` is forgotten",
        from: "self.places.insert(key, self.recency.push_back((key, session)));",
        to: r"static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if calls % 100 == 99 {
            return;
        }
        self.places.insert(key, self.recency.push_back((key, session)));",
        case: "16 alone: at the maximum the guest follows",
    },
    Mutant {
        name: "update-cuts-numbers",
        what: "a session's number is cut to 32 bits",
        from: "self.places.insert(key, self.recency.push_back((key, session)));",
        to: "self.places.insert(key, self.recency.push_back((key, Session(session.0 & 0xffff_ffff))));",
        case: "03 alone: update twice overwrites",
    },
    Mutant {
        name: "evict-is-left-out",
        what: "at the maximum a session is forgotten, and not evicted",
        from: r"            host::evict(session);
",
        to: r"            let _ = (host::evict, session);
",
        case: "16 alone: at the maximum the guest follows",
    },
    Mutant {
        name: "evict-takes-two",
        what: "at the maximum two sessions are evicted, and one forgotten",
        from: r"            host::evict(session);
",
        to: r"            host::evict(session);
            let next = self.recency.front().map(|next| self.recency.get(next).1);
            next.into_iter().for_each(host::evict);
",
        case: "16 alone: at the maximum the guest follows",
    },
    Mutant {
        name: "evict-takes-the-new",
        what: "at the maximum the session being registered is evicted",
        from: "let (key, session) = *self.recency.get(oldest);",
        to: "let (key, _) = *self.recency.get(oldest);",
        case: "16 alone: at the maximum the guest follows",
    },
    Mutant {
        name: "evict-comes-early",
        what: "one session is evicted before the maximum is reached",
        from: "self.recency.len() >= self.sessions_max",
        to: "self.recency.len() + 1 >= self.sessions_max",
        case: "16 alone: at the maximum the guest follows",
    },
    Mutant {
        name: "lookup-other-id",
        what: "`lookup` gives the first session of the partial key",
        from: "let place = *self.places.get(key)?;",
        to: r"self.places.get(key)?;
        let place = self.places.of_partial(key.partial).next().map(|(_, place)| *place)?;",
        case: "02 alone: lookup gives what update was given",
    },
    Mutant {
        name: "lookup-invents",
        what: "`lookup` of an unknown key gives the oldest session",
        from: "let place = *self.places.get(key)?;",
        to: "let place = self.places.get(key).copied().or_else(|| self.recency.front())?;",
        case: "02 alone: lookup gives what update was given",
    },
    Mutant {
        name: "lookup-forgets",
        what: "`lookup` forgets what it gives",
        from: "Some(self.recency.get(place).1)",
        to: r"self.places.remove(key);
        Some(self.recency.remove(place).1)",
        case: "02 alone: lookup gives what update was given",
    },
    Mutant {
        name: "lookup-misses-hundredth",
        what: "every hundredth `lookup` finds nothing",
        from: "self.recency.move_to_back(place);",
        to: r"static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if calls % 100 == 99 {
            return None;
        }
        self.recency.move_to_back(place);",
        case: "02 alone: lookup gives what update was given",
    },
    Mutant {
        name: "lookup-evicts",
        what: "`lookup` evicts, which is the owner's",
        from: "self.recency.move_to_back(place);",
        to: r"self.recency.move_to_back(place);
        host::evict(self.recency.get(place).1);",
        case: "02 alone: lookup gives what update was given",
    },
    Mutant {
        name: "lookup-is-linear",
        what: "`lookup` looks at every session",
        from: "let place = *self.places.get(key)?;",
        to: r"self.recency.iter().find(|(own, _)| *own == key)?;
        let place = *self.places.get(key)?;",
        case: "B3 alone: a call costs about the same with a hundred times the sessions",
    },
    Mutant {
        name: "lookup-leaks",
        what: "`lookup` leaks 256 bytes",
        from: "self.recency.move_to_back(place);",
        to: r"self.recency.move_to_back(place);
        std::hint::black_box(vec![key; 16].leak());",
        case: "B4 alone: memory does not grow without end",
    },
    Mutant {
        name: "select-gives-all",
        what: "`select-session` gives the sessions of every partial key",
        from: "self.places.of_partial(partial).take(SELECTED_MAX);",
        to: r"self.places.iter().take(SELECTED_MAX);
        let _ = partial;",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    },
    Mutant {
        name: "select-misses-one",
        what: "`select-session` misses the first session",
        from: "self.places.of_partial(partial).take(SELECTED_MAX);",
        to: "self.places.of_partial(partial).skip(1).take(SELECTED_MAX);",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    },
    Mutant {
        name: "select-adds-a-neighbour",
        what: "`select-session` gives one session of the next partial key too",
        from: "self.places.of_partial(partial).take(SELECTED_MAX);",
        to: r"self.places.iter().skip_while(|(key, _)| key.partial < partial);
        let of_partial = of_partial.take((self.places.of_partial(partial).count() + 1).min(SELECTED_MAX));",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    },
    Mutant {
        name: "select-repeats",
        what: "`select-session` gives each session twice",
        from: "self.places.of_partial(partial).take(SELECTED_MAX);",
        to: "self.places.of_partial(partial).flat_map(|own| [own, own]).take(SELECTED_MAX);",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    },
    Mutant {
        name: "select-is-unstable",
        what: "`select-session` begins with another session each time",
        from: "of_partial.map(|(_, place)| self.recency.get(*place).1).collect()",
        to: r"static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut all: Vec<Session> = of_partial.map(|(_, place)| self.recency.get(*place).1).collect();
        let turn = calls.checked_rem(all.len()).unwrap_or_default();
        all.rotate_left(turn);
        all",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    },
    Mutant {
        name: "select-has-no-end",
        what: "`select-session` gives thousands of sessions",
        from: "self.places.of_partial(partial).take(SELECTED_MAX);",
        to: "self.places.of_partial(partial).take(SELECTED_MAX.pow(2));",
        case: "B2 alone: as many sessions of one partial key are within every limit",
    },
    Mutant {
        name: "size-is-one-more",
        what: "`size` counts one too many",
        from: "self.recency.len() as u64",
        to: "self.recency.len() as u64 + 1",
        case: "11 alone: random calls agree with a model",
    },
    Mutant {
        name: "size-counts-partials",
        what: "`size` counts the partial keys",
        from: "self.recency.len() as u64",
        to: r"let partials: std::collections::BTreeSet<PartialKey> = self.places.iter().map(|(key, _)| key.partial).collect();
        partials.len() as u64",
        case: "11 alone: random calls agree with a model",
    },
    Mutant {
        name: "fold-skips-one",
        what: "`foldl` leaves out the oldest session",
        from: "self.recency.iter().for_each(|(key, session)| fold.apply(*key, *session));",
        to: "self.recency.iter().skip(1).for_each(|(key, session)| fold.apply(*key, *session));",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    },
    Mutant {
        name: "fold-shows-twice",
        what: "`foldl` shows each session twice",
        from: "self.recency.iter().for_each(|(key, session)| fold.apply(*key, *session));",
        to: "self.recency.iter().chain(self.recency.iter()).for_each(|(key, session)| fold.apply(*key, *session));",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    },
    Mutant {
        name: "fold-shows-wrong-keys",
        what: "`foldl` shows each session under another id",
        from: "self.recency.iter().for_each(|(key, session)| fold.apply(*key, *session));",
        to: r"let wrong = |key: &Key| Key { id: innkeeper_guest::SessionId(key.id.0 ^ 1), ..*key };
        self.recency.iter().for_each(|(key, session)| fold.apply(wrong(key), *session));",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    },
    Mutant {
        name: "init-refuses-clients",
        what: "`init` refuses the role client",
        from: r"    fn init(args: InitArgs) -> Result<Self, String> {
",
        to: r#"    fn init(args: InitArgs) -> Result<Self, String> {
        if args.role == innkeeper_guest::Role::Client {
            return Err("servers only".to_owned());
        }
"#,
        case: "13 alone: init takes both roles, and any properties or says why not",
    },
    Mutant {
        name: "init-traps-on-properties",
        what: "`init` traps on a property that it does not know",
        from: r"    fn init(args: InitArgs) -> Result<Self, String> {
",
        to: r#"    fn init(args: InitArgs) -> Result<Self, String> {
        assert!(args.properties.is_empty(), "no property is known");
"#,
        case: "13 alone: init takes both roles, and any properties or says why not",
    },
    Mutant {
        name: "init-opens-one-cache",
        what: "`init` refuses a second cache in the same instance",
        from: r"    fn init(args: InitArgs) -> Result<Self, String> {
",
        to: r#"    fn init(args: InitArgs) -> Result<Self, String> {
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if calls > 0 {
            return Err("one cache only".to_owned());
        }
"#,
        case: "12 alone: two caches of one instance are independent",
    },
    Mutant {
        name: "terminate-traps",
        what: "`terminate` traps while there are sessions",
        from: r"    fn size(&self) -> u64 {
",
        to: r#"    fn terminate(&mut self) {
        assert!(self.recency.is_empty(), "every session is deleted first");
    }

    fn size(&self) -> u64 {
"#,
        case: "14 alone: terminate returns",
    },
];

/// The two callbacks together, since one uses the other.
const UPDATE_AND_DELETE: &str = r"    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if self.recency.len() >= self.sessions_max
            && let Some(oldest) = self.recency.front()
        {
            let (key, session) = *self.recency.get(oldest);
            self.delete(key);
            host::evict(session);
        }
        self.places.insert(key, self.recency.push_back((key, session)));
    }

    fn delete(&mut self, key: Key) {
        if let Some(place) = self.places.remove(key) {
            self.recency.remove(place);
        }
    }
";
