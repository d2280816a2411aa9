//! A native guest that follows a byte string: it may ask the host anything, and answer anything.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arbitrary::Arbitrary;
use innkeeper_core::{
    Acc, CacheRef, Call, Callback, Callbacks, Claim, Element, Fault, FoldFun, Guest, Host, InitArgs, Key, Level,
    Limits, Misuse, NativeLru, PartialKey, Session, SessionId, log_line,
};
use innkeeper_doubles::{Intercept, intercepted};

/// A guest's number for a session, an accumulator, or any other value.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    /// A session that the guest was given, live or dead.
    Known(u8),
    /// A number at a distance: another slot.
    Near(u8, i8),
    /// The next or an earlier number of the same slot.
    OtherLife(u8, i8),
    Any(u64),
}

/// A request of a guest to the host in a callback.
#[derive(Arbitrary, Clone, Debug)]
pub enum Ask {
    Evict(Number),
    EvictMany(Number),
    /// Uses the fold's own function and last accumulator, unless it names others.
    Apply {
        session: Number,
        key: Option<Number>,
        fun: Option<u64>,
        acc: Option<u64>,
    },
    /// Repeats it with every known session, a number of times.
    ApplyAll(u8),
    ApplyMany,
    Describe(Number),
    Log(u8, String),
    NowMs,
    Burn(u32),
}

/// A guest's answer. An answer that misfits the callback stands for the honest one.
#[derive(Arbitrary, Clone, Debug)]
pub enum Answer {
    Honest,
    Nothing,
    One(Number),
    Many(Vec<Number>),
    Fault(u8),
}

/// A guest's behaviour in one call.
#[derive(Arbitrary, Clone, Debug)]
pub struct Act {
    /// The callback, by number.
    pub callback: u8,
    pub asks: Vec<Ask>,
    /// True if the guest goes on after a refusal of the host.
    pub is_stubborn: bool,
    pub answer: Answer,
}

/// The acts of a guest for each callback, one call after another, and again from the start. A callback without acts is
/// honest. Instances share the script.
#[derive(Debug, Default)]
pub struct Script {
    acts: [Vec<Act>; Callback::ALL.len()],
    next: AtomicUsize,
    is_fold_bad: AtomicBool,
}

impl Script {
    pub fn new(acts: &[Act]) -> Self {
        let mut script = Self::default();
        for act in acts {
            script.acts[usize::from(act.callback) % Callback::ALL.len()].push(act.clone());
        }
        script
    }

    /// True if the guest acts like the native one in every call.
    pub fn is_honest(&self) -> bool {
        self.acts.iter().all(Vec::is_empty)
    }

    /// True if the guest has made a fold that the host must refuse, since the last question.
    pub fn was_fold_bad(&self) -> bool {
        self.is_fold_bad.swap(false, Ordering::AcqRel)
    }

    fn next(&self, callback: Callback) -> Option<Act> {
        let acts = &self.acts[callback as usize];
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        acts.get(next.checked_rem(acts.len())?).cloned()
    }
}

/// The number of repetitions of a request, more than the host allows.
const MANY: usize = 1_024 + 2 * 8 + 1;

/// The most sessions that a guest remembers for its lies.
const KNOWN_MAX: usize = 64;

/// The native guest, whose answers a script may replace.
pub fn puppet(script: &Arc<Script>, limits: &Limits) -> Arc<dyn Guest> {
    let (script, limits) = (Arc::clone(script), limits.clone());
    intercepted(Arc::new(NativeLru), move |host| Puppet {
        script: Arc::clone(&script),
        host: Arc::clone(host),
        limits: limits.clone(),
        cache: CacheRef(0),
        known: Vec::new(),
        now_ms: 0,
    })
}

struct Puppet {
    script: Arc<Script>,
    host: Arc<dyn Host>,
    limits: Limits,
    cache: CacheRef,
    known: Vec<(Key, Session)>,
    now_ms: u64,
}

/// A running fold, as far as the guest has come.
struct Fold {
    fun: FoldFun,
    acc: Acc,
    applied: Vec<Claim>,
}

impl Puppet {
    /// Carries out the script's requests, and returns its answer.
    fn act(&mut self, call: &mut Call, mut fold: Option<&mut Fold>) -> Result<Answer, Fault> {
        let Some(act) = self.script.next(call.callback()) else { return Ok(Answer::Honest) };
        for ask in &act.asks {
            if let Err(misuse) = self.ask(call, fold.as_deref_mut(), ask)
                && !act.is_stubborn
            {
                return Err(misuse.into());
            }
        }
        match act.answer {
            Answer::Fault(kind) => Err(fault(kind)),
            answer => Ok(answer),
        }
    }

    fn ask(&mut self, call: &mut Call, mut fold: Option<&mut Fold>, ask: &Ask) -> Result<(), Misuse> {
        match ask {
            Ask::Evict(number) => self.evict(call, *number),
            Ask::EvictMany(number) => (0..MANY).try_for_each(|_| self.evict(call, *number)),
            Ask::Apply { session, key, fun, acc } => {
                let claim = self.claim(*session);
                let key = self.key(key.unwrap_or(*session));
                self.apply(call, fold, Element { key, session: claim }, (*fun, *acc))
            }
            Ask::ApplyAll(times) => {
                std::iter::repeat_n(&self.known, usize::from(times % 4)).flatten().try_for_each(|(key, session)| {
                    let element = Element { key: *key, session: (*session).into() };
                    self.apply(call, fold.as_deref_mut(), element, (None, None))
                })
            }
            Ask::ApplyMany => {
                let element = Element { key: self.key(Number::Known(0)), session: self.claim(Number::Known(0)) };
                (0..MANY).try_for_each(|_| self.apply(call, fold.as_deref_mut(), element, (None, None)))
            }
            Ask::Describe(number) => {
                self.describe(*number);
                Ok(())
            }
            Ask::Log(level, text) => {
                let level = [Level::Debug, Level::Info, Level::Warn, Level::Error][usize::from(level % 4)];
                self.host.log(level, text);
                let line = log_line(text, self.limits.log_line_bytes);
                assert!(line.len() <= self.limits.log_line_bytes && !line.chars().any(char::is_control), "{line:?}");
                Ok(())
            }
            Ask::NowMs => {
                let now_ms = self.host.now_ms();
                assert!(now_ms >= self.now_ms, "the clock goes back");
                self.now_ms = now_ms;
                Ok(())
            }
            Ask::Burn(fuel) => {
                // The most that WebAssembly can burn: the grant in its own code, and the grant again in host calls.
                call.fuel = u64::from(*fuel) % (2 * self.limits.grant(call.callback()).fuel);
                Ok(())
            }
        }
    }

    fn evict(&self, call: &mut Call, number: Number) -> Result<(), Misuse> {
        let evicted = call.evict(self.claim(number));
        let may_evict = matches!(call.callback(), Callback::Update | Callback::Delete);
        assert!(may_evict || evicted.is_err(), "`evict` in {:?}", call.callback());
        evicted
    }

    fn apply(
        &self,
        call: &mut Call,
        fold: Option<&mut Fold>,
        element: Element,
        (fun, acc): (Option<u64>, Option<u64>),
    ) -> Result<(), Misuse> {
        let Some(fold) = fold else {
            let applied = call.apply(FoldFun(fun.unwrap_or(0)), element, Acc(acc.unwrap_or(0)));
            assert!(applied.is_err(), "`apply` in {:?}", call.callback());
            return applied.map(drop);
        };
        let (fun, acc) = (fun.map_or(fold.fun, FoldFun), acc.map_or(fold.acc, Acc));
        let applied = call.apply(fun, element, acc);
        assert!(applied.is_err() || (fun, acc) == (fold.fun, fold.acc), "a made up token is taken");
        fold.acc = applied?;
        let is_repeated = fold.applied.contains(&element.session);
        fold.applied.push(element.session);
        if is_repeated || self.is_misfiled(element) {
            self.script.is_fold_bad.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// True if an element is a live session under a wrong key.
    fn is_misfiled(&self, element: Element) -> bool {
        let of_session = self.known.iter().find(|(_, session)| Claim::from(*session) == element.session);
        let lives = || self.host.describe(element.session).is_some_and(|info| info.expires_ms > self.host.now_ms());
        of_session.is_some_and(|(key, _)| *key != element.key) && lives()
    }

    fn describe(&self, number: Number) {
        let Some(info) = self.host.describe(self.claim(number)) else { return };
        assert!(info.stored_bytes as usize <= self.limits.session_bytes);
        assert!(info.created_ms <= self.host.now_ms() && info.created_ms < info.expires_ms);
        assert!(u128::from(info.expires_ms - info.created_ms) <= self.limits.lifetime.as_millis());
    }

    fn known(&self, index: u8) -> Option<(Key, Session)> {
        let index = usize::from(index).checked_rem(self.known.len())?;
        Some(self.known[self.known.len() - 1 - index])
    }

    fn claim(&self, number: Number) -> Claim {
        let known = |index| self.known(index).map_or(0, |(_, session)| session.number());
        Claim(match number {
            Number::Known(index) => known(index),
            Number::Near(index, by) => known(index).wrapping_add_signed(by.into()),
            Number::OtherLife(index, by) => known(index).wrapping_add_signed(i64::from(by) << 24),
            Number::Any(number) => number,
        })
    }

    fn key(&self, number: Number) -> Key {
        let own = |index| self.known(index).map(|(key, _)| key);
        match number {
            Number::Known(index) => own(index),
            Number::Near(index, by) | Number::OtherLife(index, by) => {
                own(index).map(|key| Key { id: SessionId(key.id.0.wrapping_add_signed(by.into())), ..key })
            }
            Number::Any(_) => None,
        }
        .unwrap_or(Key { partial: PartialKey(self.claim(number).0), id: SessionId(0) })
    }

    fn check_cache(&self, cache: CacheRef) {
        assert_eq!(cache, self.cache, "the host gives back what `init` gave");
    }
}

fn fault(kind: u8) -> Fault {
    match kind % 8 {
        0 => Fault::Trap { reason: "\u{1b}[2J\n".repeat(usize::from(kind)) },
        1 => Fault::OutOfFuel { grant: kind.into() },
        2 => Fault::Deadline { limit: std::time::Duration::MAX },
        3 => Fault::Memory { asked_bytes: usize::MAX, limit_bytes: 0 },
        4 => Fault::Table { asked: usize::MAX, limit: 0 },
        5 => Fault::Stack { limit_bytes: 0 },
        6 => Fault::Init { message: String::new() },
        _ => Fault::Instantiate { reason: String::new() },
    }
}

impl Intercept for Puppet {
    fn init(&mut self, inner: &mut dyn Callbacks, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        let answer = self.act(call, None)?;
        inner.init(call, args)?;
        self.cache = match answer {
            Answer::One(number) => CacheRef(self.claim(number).0),
            _ => CacheRef(0),
        };
        Ok(self.cache)
    }

    fn terminate(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.check_cache(cache);
        self.act(call, None)?;
        inner.terminate(call, CacheRef(0))
    }

    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        self.check_cache(cache);
        if self.known.len() == KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push((key, session));
        match self.act(call, None)? {
            Answer::Nothing => Ok(()),
            _ => inner.update(call, CacheRef(0), key, session),
        }
    }

    fn delete(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.check_cache(cache);
        match self.act(call, None)? {
            Answer::Nothing => Ok(()),
            _ => inner.delete(call, CacheRef(0), key),
        }
    }

    fn lookup(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
    ) -> Result<Option<Claim>, Fault> {
        self.check_cache(cache);
        match self.act(call, None)? {
            Answer::Nothing => Ok(None),
            Answer::One(number) => Ok(Some(self.claim(number))),
            _ => inner.lookup(call, CacheRef(0), key),
        }
    }

    fn select_session(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        partial: PartialKey,
    ) -> Result<Vec<Claim>, Fault> {
        self.check_cache(cache);
        match self.act(call, None)? {
            Answer::Nothing => Ok(Vec::new()),
            Answer::One(number) => Ok(vec![self.claim(number); MANY]),
            Answer::Many(numbers) => Ok(numbers.into_iter().map(|number| self.claim(number)).collect()),
            _ => inner.select_session(call, CacheRef(0), partial),
        }
    }

    fn size(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.check_cache(cache);
        match self.act(call, None)? {
            Answer::One(number) => Ok(self.claim(number).0),
            _ => inner.size(call, CacheRef(0)),
        }
    }

    fn foldl(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        fun: FoldFun,
        acc: Acc,
        cache: CacheRef,
    ) -> Result<Acc, Fault> {
        self.check_cache(cache);
        let mut fold = Fold { fun, acc, applied: Vec::new() };
        let answer = self.act(call, Some(&mut fold))?;
        if fold.acc != acc && matches!(answer, Answer::Honest | Answer::Many(_)) {
            // The native guest would show some sessions twice.
            return Ok(fold.acc);
        }
        match answer {
            Answer::Nothing => Ok(fold.acc),
            Answer::One(number) => {
                let last = Acc(self.claim(number).0);
                if last != fold.acc {
                    self.script.is_fold_bad.store(true, Ordering::Release);
                }
                Ok(last)
            }
            _ => inner.foldl(call, fun, acc, CacheRef(0)),
        }
    }
}
