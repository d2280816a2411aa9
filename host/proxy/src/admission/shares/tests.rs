//! Shares beside a naive model, and the effect of each rule.

use proptest::{collection::vec, prelude::*};

use super::*;

fn bounds(connections: usize, reserve: Option<usize>, per_peer: usize) -> TenantBounds {
    TenantBounds { connections, reserve, per_peer: Some(per_peer), ..TenantBounds::default() }
}

fn peer(number: u8) -> Peer {
    Peer::of([192, 0, 2, number].into())
}

#[track_caller]
fn check_reserves(all: usize, tenants: &[TenantBounds], wanted: usize, each: &[usize]) {
    let reserves = Reserves::new(all, tenants.iter());
    assert_eq!((reserves.all, reserves.wanted, reserves.each.as_slice()), (all, wanted, each));
}

#[test]
fn a_half_is_shared_evenly_and_what_is_written_goes_before() {
    check_reserves(10, &[], 0, &[]);
    check_reserves(7_500, &vec![TenantBounds::default(); 3], 3_750, &[1_250; 3]);
    check_reserves(100, &[bounds(5, None, 9), bounds(90, None, 9)], 30, &[5, 25]);
    check_reserves(100, &[bounds(90, Some(60), 9), bounds(90, None, 9)], 85, &[60, 25]);
    check_reserves(100, &[bounds(90, Some(0), 9), bounds(90, Some(95), 9)], 90, &[0, 90]);
}

#[test]
fn more_than_there_is_is_shared_in_proportion() {
    check_reserves(100, &[bounds(100, Some(100), 9), bounds(100, Some(50), 9)], 150, &[66, 33]);
    check_reserves(3, &vec![bounds(4, Some(4), 4); 4], 12, &[0; 4]);
}

proptest! {
    #[test]
    fn reserves_are_never_more_than_there_is(
        all in 1_usize..100_000,
        tenants in vec((1_usize..20_000, proptest::option::of(0_usize..20_000)), 1..50),
    ) {
        let tenants: Vec<_> = tenants.into_iter().map(|(max, reserve)| bounds(max, reserve, 1)).collect();
        let reserves = Reserves::new(all, tenants.iter());
        prop_assert!(reserves.each.iter().sum::<usize>() <= all);
        for (own, bounds) in reserves.each.iter().zip(&tenants) {
            prop_assert!(*own <= bounds.connections && bounds.reserve.is_none_or(|most| *own <= most));
        }
    }
}

#[test]
fn three_greedy_tenants_leave_the_fourth_its_reserve() {
    let own = TenantBounds::default();
    let mut state = State::default();
    let names = ["a", "b", "c", "d"];
    state.follow(7_500, names.map(|name| (name, &own)).into_iter());
    let now = Instant::now();
    let mut acquire = |name, number: usize| state.acquire(name, &own, peer((number % 7) as u8), now);
    for name in ["a", "b", "c"] {
        for number in 0..4_000 {
            let _ = acquire(name, number);
        }
    }
    let admitted = (0..4_000).filter(|number| acquire("d", *number) == Verdict::Admitted).count();
    assert_eq!(admitted, 937);
    assert_eq!(acquire("d", 0), Verdict::Rejected(Rejection::TooManyOfAll));
}

#[test]
fn the_reserve_of_a_tenant_that_is_removed_goes_to_the_others() {
    let own = bounds(100, Some(40), 100);
    let mut state = State::default();
    let now = Instant::now();
    state.follow(100, [("stays", &own), ("goes", &own)].into_iter());
    let acquire = |state: &mut State, name| state.acquire(name, &own, peer(1), now);
    (0..40).for_each(|_| assert_eq!(acquire(&mut state, "goes"), Verdict::Admitted));
    state.follow(100, [("stays", &own)].into_iter());
    let admitted = (0..100).filter(|_| acquire(&mut state, "stays") == Verdict::Admitted).count();
    assert_eq!(admitted, 60, "connections of a removed tenant count until they end");
    (0..40).for_each(|_| state.leave("goes", peer(1)));
    assert!(!state.tenants.contains_key("goes"), "its state is gone then");
    let admitted = (0..100).filter(|_| acquire(&mut state, "stays") == Verdict::Admitted).count();
    assert_eq!(admitted, 40);
}

/// The model: every connection in one list, and every number counted anew.
#[derive(Default)]
struct Naive {
    all: usize,
    served: Vec<(usize, TenantBounds)>,
    last: Vec<TenantBounds>,
    open: Vec<Open>,
}

struct Open {
    tenant: usize,
    peer: u8,
    end: Arc<End>,
    /// The time of its first wait, and its position among all first waits.
    first_wait: Option<(Ticket, Instant)>,
    is_waiting: bool,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Naive {
    fn used(&self, tenant: usize) -> usize {
        self.open.iter().filter(|open| open.tenant == tenant).count()
    }

    fn reserve(&self, tenant: usize) -> usize {
        let reserves =
            Reserves::new(self.all, self.served.iter().map(|(_, bounds)| bounds).collect::<Vec<_>>().into_iter());
        let place = self.served.iter().position(|(own, _)| *own == tenant);
        place.map_or(0, |place| reserves.each[place])
    }

    fn common_used(&self) -> usize {
        (0..NAMES.len()).map(|tenant| self.used(tenant).saturating_sub(self.reserve(tenant))).sum()
    }

    fn common(&self) -> usize {
        self.all - (0..NAMES.len()).map(|tenant| self.reserve(tenant)).sum::<usize>()
    }

    fn used_of(&self, tenant: usize, peer: u8) -> usize {
        self.open.iter().filter(|open| (open.tenant, open.peer) == (tenant, peer)).count()
    }

    /// True if a newcomer gets a permit without displacing anybody.
    fn is_room(&self, tenant: usize, peer: u8) -> bool {
        let bounds = &self.last[tenant];
        let used = self.used(tenant);
        let is_free = used < self.reserve(tenant) || self.common_used() < self.common();
        used < bounds.connections
            && self.used_of(tenant, peer) < bounds.connections_per_peer()
            && self.open.len() < self.all
            && is_free
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire { tenant: usize, peer: u8 },
    Leave(usize),
    Wait(usize),
    GoOn(usize),
    Pass(u64),
    Follow { all: usize, tenants: Vec<(usize, Option<usize>, usize)> },
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = (1_usize..8, proptest::option::of(0_usize..8), 1_usize..6);
    prop_oneof![
        12 => (0_usize..3, 0_u8..3).prop_map(|(tenant, peer)| Step::Acquire { tenant, peer }),
        3 => any::<usize>().prop_map(Step::Leave),
        6 => any::<usize>().prop_map(Step::Wait),
        2 => any::<usize>().prop_map(Step::GoOn),
        3 => (0_u64..1_500).prop_map(Step::Pass),
        1 => (1_usize..16, vec(tenant, 0..4)).prop_map(|(all, tenants)| Step::Follow { all, tenants }),
    ]
}

/// The shares beside the model.
struct Both {
    state: State,
    naive: Naive,
    now: Instant,
}

impl Both {
    fn new() -> Self {
        let mut both = Self { state: State::default(), naive: Naive::default(), now: Instant::now() };
        both.naive.last = vec![TenantBounds::default(); NAMES.len()];
        both.follow(8, &[(5, None, 3), (8, Some(2), 8), (4, Some(1), 2)]);
        both
    }

    fn follow(&mut self, all: usize, tenants: &[(usize, Option<usize>, usize)]) {
        let tenants =
            tenants.iter().map(|(max, reserve, per_peer)| bounds(*max, *reserve, *per_peer)).take(NAMES.len());
        self.naive.all = all;
        self.naive.served = tenants.enumerate().collect();
        for (number, bounds) in &self.naive.served {
            self.naive.last[*number] = bounds.clone();
        }
        let served: Vec<_> = self.naive.served.iter().map(|(number, bounds)| (NAMES[*number], bounds)).collect();
        self.state.follow(all, served.into_iter());
    }

    fn acquire(&mut self, tenant: usize, number: u8) {
        let was_room = self.naive.is_room(tenant, number);
        let bounds = self.naive.last[tenant].clone();
        let verdict = self.state.acquire(NAMES[tenant], &bounds, peer(number), self.now);
        for lost in self.naive.open.iter().filter(|open| open.end.is_displaced()) {
            assert!(!was_room, "a permit was free");
            let since = lost.first_wait.map(|(_, since)| since).filter(|_| lost.is_waiting);
            assert!(since.is_some_and(|since| since + PATIENCE <= self.now), "it has waited for its client for long");
        }
        self.naive.open.retain(|open| !open.end.is_displaced());
        match verdict {
            Verdict::Admitted => {
                assert!(self.naive.is_room(tenant, number), "a permit is free");
                let open = Open { tenant, peer: number, end: Arc::default(), first_wait: None, is_waiting: false };
                self.naive.open.push(open);
            }
            Verdict::Rejected(_) => assert!(!was_room),
            Verdict::Later(at, _) => {
                assert!(!was_room && at > self.now && at <= self.now + PATIENCE);
                let is_waiting =
                    |open: &Open| open.is_waiting && open.first_wait.is_some_and(|(_, since)| since + PATIENCE == at);
                assert!(self.naive.open.iter().any(is_waiting));
            }
        }
    }

    fn wait(&mut self, place: usize) {
        let Some(open) = self.naive.open.get_mut(place) else { return };
        let (ticket, since) = *open.first_wait.get_or_insert_with(|| (self.state.last.next(), self.now));
        open.is_waiting = true;
        let waiter = Waiter { peer: peer(open.peer), since, end: Arc::clone(&open.end) };
        self.state.wait(NAMES[open.tenant], ticket, waiter);
    }

    fn go_on(&mut self, place: usize) {
        let Some(open) = self.naive.open.get_mut(place) else { return };
        open.is_waiting = false;
        if let Some((ticket, _)) = open.first_wait {
            self.state.go_on(NAMES[open.tenant], ticket);
        }
    }

    fn run(&mut self, step: Step) {
        let pick = |number: usize, all: usize| number.checked_rem(all).unwrap_or(0);
        let all = self.naive.open.len();
        match step {
            Step::Acquire { tenant, peer } => self.acquire(tenant, peer),
            Step::Wait(number) => self.wait(pick(number, all)),
            Step::GoOn(number) => self.go_on(pick(number, all)),
            Step::Pass(ms) => self.now += Duration::from_millis(ms),
            Step::Follow { all, tenants } => self.follow(all, &tenants),
            Step::Leave(_) if all == 0 => {}
            Step::Leave(number) => {
                self.go_on(pick(number, all));
                let open = self.naive.open.remove(pick(number, all));
                self.state.leave(NAMES[open.tenant], peer(open.peer));
            }
        }
        self.check();
    }

    fn check(&self) {
        let Self { state, naive, .. } = self;
        assert_eq!((state.used, state.common), (naive.open.len(), naive.common()));
        assert_eq!(state.common_used, naive.common_used());
        assert_eq!(state.waiting.len(), naive.open.iter().filter(|open| open.is_waiting).count());
        for (number, name) in NAMES.iter().enumerate() {
            let own = state.tenants.get(*name);
            assert_eq!(own.map_or(0, |own| own.used), naive.used(number));
            assert!(own.is_none_or(|own| own.used_by.len() <= own.used && own.waiting.len() <= own.used));
        }
    }
}

proptest! {
    #[test]
    fn shares_are_as_the_model_counts_them(steps in vec(step(), 1..120)) {
        let mut both = Both::new();
        steps.into_iter().for_each(|step| both.run(step));
    }

    #[test]
    fn a_reserve_is_there_whatever_others_do(
        steps in vec(step().prop_filter("bounds stay", |step| !matches!(step, Step::Follow { .. })), 1..120),
        newcomer in 0_u8..3,
    ) {
        let mut both = Both::new();
        steps.into_iter().for_each(|step| both.run(step));
        for tenant in 0..NAMES.len() {
            let naive = &both.naive;
            let of_peer = naive.used_of(tenant, newcomer);
            if naive.used(tenant) < naive.reserve(tenant) && of_peer < naive.last[tenant].connections_per_peer() {
                prop_assert!(naive.is_room(tenant, newcomer));
                both.acquire(tenant, newcomer);
                prop_assert_eq!(both.naive.used_of(tenant, newcomer), of_peer + 1);
            }
        }
    }
}
