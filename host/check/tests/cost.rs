//! Prices of native code, and of native code that says it burned fuel: rows, bounds, faults, baselines and plots.

use std::{error::Error as _, sync::Arc, time::Duration};

use innkeeper_check::cost::{
    BaselineError, Growth, Item, Population, Price, PriceError, PriceOptions, Prices, compare, price, svg,
};
use innkeeper_core::{
    Acc, CacheRef, Call, Callback, Callbacks, Fault, FoldFun, Guest, InitArgs, Key, Limits, NativeLru, Session,
    SizeClass,
};
use innkeeper_doubles::{Intercept, intercepted};

/// Native code that says what it burns, and may fail once there are too many sessions.
#[derive(Clone, Copy)]
struct Metered {
    lookup_fuel: u64,
    keeps: u32,
    held_max: u64,
    folds: bool,
}

const METERED: Metered = Metered { lookup_fuel: 200, keeps: u32::MAX, held_max: u64::MAX, folds: true };

struct MeteredInstance {
    is: Metered,
    updates: u64,
}

impl Metered {
    fn guest(self) -> Arc<dyn Guest> {
        intercepted(Arc::new(NativeLru), move |_host| MeteredInstance { is: self, updates: 0 })
    }
}

impl Intercept for MeteredInstance {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        call.fuel = match call.callback() {
            Callback::Init => 1_000,
            Callback::Update => 700,
            Callback::Delete => 300,
            Callback::Lookup => self.is.lookup_fuel,
            Callback::SelectSession => 400,
            Callback::Size => 50,
            Callback::Foldl | Callback::Terminate => 0,
        };
        Ok(())
    }
    fn init(&mut self, inner: &mut dyn Callbacks, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        match args.properties.first() {
            Some(property) => Err(Fault::Init { message: format!("property `{}` is unknown", property.name) }),
            None => {
                let sessions_max = args.sessions_max.min(self.is.keeps);
                inner.init(call, &InitArgs { sessions_max, ..args.clone() })
            }
        }
    }
    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        self.updates += 1;
        match inner.size(call, cache)? >= self.is.held_max {
            true => Err(Fault::OutOfFuel { grant: 700 }),
            false => inner.update(call, cache, key, session),
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
        call.fuel = 500 * inner.size(call, cache)?;
        match self.is.folds {
            true => inner.foldl(call, fun, acc, cache),
            false => Err(Fault::Trap { reason: "no folds here".into() }),
        }
    }
    fn memory_bytes(&self, _: &dyn Callbacks) -> Option<usize> {
        Some(65_536 + 96 * usize::try_from(self.updates).unwrap_or(0))
    }
}

fn options(sessions: &[u32]) -> PriceOptions {
    PriceOptions { sessions: sessions.to_vec(), calls: 200, cycles: 1_000, ..PriceOptions::default() }
}

fn priced(guest: &dyn Guest, sessions: &[u32]) -> Prices {
    price(guest, &Limits::new(SizeClass::Small), &options(sessions), None).expect("it opens")
}

fn row(population: &Population, item: Item) -> &Price {
    population.prices.iter().find(|price| price.item == item).expect("it has that row")
}

#[test]
fn native_code_has_every_row_within_its_bounds() {
    let mut empty = 0;
    let options = options(&[300, 100, 300]);
    let prices = price(&NativeLru, &Limits::new(SizeClass::Small), &options, Some(&mut || empty += 1)).unwrap();
    assert_eq!((empty, prices.empty_call_ns.is_some()), (200, true));
    let sessions: Vec<u32> = prices.populations.iter().map(|population| population.sessions).collect();
    assert_eq!(sessions, [100, 300], "each number once, the smallest first");
    for population in &prices.populations {
        assert_eq!((population.held, &population.fault), (population.sessions, &None));
        let items: Vec<Item> = population.prices.iter().map(|price| price.item).collect();
        assert_eq!(items, Item::ALL);
        for price in &population.prices {
            assert!((1..=200).contains(&price.calls), "{price:?}");
            assert!(price.fault.is_none() && price.wrong == 0 && price.native_ns.is_some(), "{price:?}");
            assert!(price.ns.median <= price.ns.p99 && price.ns.p99 <= price.ns.max, "{price:?}");
        }
        let churn = population.churn.as_ref().unwrap();
        assert_eq!((churn.cycles, churn.grown_bytes, &churn.fault), (1_000, None, &None));
    }
}

#[test]
fn fuel_and_memory_are_told_as_they_are() {
    let prices = priced(&*METERED.guest(), &[1_000]);
    let population = &prices.populations[0];
    for (item, fuel) in [(Item::LookupHit, 200), (Item::UpdateFull, 700), (Item::Delete, 300), (Item::Init, 1_000)] {
        let spread = row(population, item).fuel;
        assert_eq!((spread.median, spread.p99, spread.max), (fuel, fuel, fuel), "{item}");
    }
    // Filled up by the row before.
    assert_eq!((row(population, Item::Foldl).fuel.median, population.foldl_fuel_per_session), (508_000, Some(500)));
    let replay = population.replay.as_ref().unwrap();
    assert_eq!((replay.fuel, replay.fuel_max), (700_000, 700));
    let memory = population.memory.as_ref().unwrap();
    assert_eq!((memory.empty_bytes, memory.full_bytes), (65_536, 65_536 + 96_000));
    assert!((memory.session_bytes - 96.0).abs() < f64::EPSILON);
    let churn = population.churn.as_ref().unwrap();
    assert_eq!((churn.fuel_first, churn.fuel_last), (1_200, 1_200));
    assert_eq!(churn.grown_bytes, Some(96 * 1_000), "a leak shows");
}

#[test]
fn a_row_ends_with_its_fuel() {
    let options = PriceOptions { fuel: 1_000, ..options(&[100]) };
    let prices = price(&*METERED.guest(), &Limits::new(SizeClass::Small), &options, None).unwrap();
    assert_eq!(row(&prices.populations[0], Item::LookupHit).calls, 5);
}

#[test]
fn a_number_of_sessions_that_is_too_much_spoils_no_other() {
    let limited = Metered { held_max: 1_500, ..METERED };
    let prices = priced(&*limited.guest(), &[100, 2_000]);
    let [small, large] = &prices.populations[..] else { panic!("there are two") };
    assert_eq!((small.prices.len(), &small.fault), (Item::ALL.len(), &None));
    assert_eq!(large.held, 1_500);
    assert_eq!(large.fault.as_deref(), Some("update 1501 of 2000 failed: out of fuel: the call may burn 700"));
}

#[test]
fn a_guest_that_keeps_fewer_is_priced_with_those() {
    let prices = priced(&*Metered { keeps: 200, ..METERED }.guest(), &[1_000]);
    let population = &prices.populations[0];
    assert_eq!((population.held, &population.fault), (200, &None));
    assert!(population.prices.iter().all(|price| price.wrong == 0), "{:?}", population.prices);
    assert_eq!(population.foldl_fuel_per_session, Some(500));
}

#[test]
fn a_row_that_fails_spoils_no_other() {
    let prices = priced(&*Metered { folds: false, ..METERED }.guest(), &[100]);
    let population = &prices.populations[0];
    let foldl = row(population, Item::Foldl);
    assert_eq!((foldl.calls, foldl.fault.as_deref()), (0, Some("call 1: the guest trapped: no folds here")));
    assert_eq!(row(population, Item::Terminate).calls, 1);
    assert!(population.churn.as_ref().is_some_and(|churn| churn.fault.is_none()));
}

#[test]
fn a_replay_that_would_burn_too_much_is_not_made() {
    let options = PriceOptions { replay_fuel: 1_000_000, ..options(&[1_400, 2_000_000]) };
    let prices = price(&*METERED.guest(), &Limits::new(SizeClass::Small), &options, None).unwrap();
    let faults: Vec<_> = prices.populations.iter().map(|population| population.fault.as_deref()).collect();
    assert_eq!(faults, [None, Some("2000000 updates would burn about 1400 million fuel")]);
}

#[test]
fn no_time_is_said_and_not_waited_for() {
    let options = PriceOptions { population: Duration::ZERO, ..options(&[100]) };
    let prices = price(&*METERED.guest(), &Limits::new(SizeClass::Small), &options, None).unwrap();
    assert_eq!(prices.populations[0].fault.as_deref(), Some("no time was left after 0 of 100 updates"));
}

#[test]
fn what_cannot_be_priced_at_all_is_an_error() {
    let limits = Limits::new(SizeClass::Small);
    let property = innkeeper_core::Property { name: "colour".into(), value: "red".into() };
    let refused = PriceOptions { properties: vec![property], ..options(&[100]) };
    let refused = price(&*METERED.guest(), &limits, &refused, None);
    assert!(matches!(refused, Err(PriceError::Guest(Fault::Init { .. }))), "{refused:?}");
    let too_many = price(&*METERED.guest(), &limits, &options(&[1 << 24]), None);
    assert!(matches!(too_many, Err(PriceError::Limit(_))), "{too_many:?}");
}

#[test]
fn fuel_is_the_same_in_every_run() {
    let fuel = |prices: Prices| -> Vec<_> {
        let prices = prices.populations.into_iter().flat_map(|population| population.prices);
        prices.map(|price| (price.item, price.calls, price.fuel)).collect()
    };
    assert_eq!(fuel(priced(&*METERED.guest(), &[100, 1_000])), fuel(priced(&*METERED.guest(), &[100, 1_000])));
}

#[test]
fn a_baseline_tells_what_has_grown_and_what_is_gone() {
    let written = serde_json::to_string(&priced(&*METERED.guest(), &[100])).unwrap();
    let baseline = Prices::from_json(&written).unwrap();
    assert_eq!(compare(&baseline, &baseline, 0.0), []);
    let now = priced(&*Metered { lookup_fuel: 210, ..METERED }.guest(), &[100]);
    let grown = |item| Growth { sessions: 100, item, before: 200, now: Some(210) };
    assert_eq!(compare(&now, &baseline, 4.9), [grown(Item::LookupHit), grown(Item::LookupMiss)]);
    assert_eq!(compare(&now, &baseline, 5.0), []);
    assert_eq!(grown(Item::LookupHit).to_string(), "lookup, hit at 100 sessions: 210 fuel, 5.0 % more than 200");
    let now = priced(&*Metered { folds: false, ..METERED }.guest(), &[100]);
    let gone = Growth { sessions: 100, item: Item::Foldl, before: 58_000, now: None };
    assert_eq!(gone.to_string(), "foldl at 100 sessions: not priced, where it was 58000 fuel");
    assert_eq!(compare(&now, &baseline, 5.0), [gone]);
    assert_eq!(compare(&priced(&*METERED.guest(), &[101]), &baseline, 5.0).len(), Item::ALL.len());
}

#[test]
fn what_is_no_baseline_is_told_so() {
    let error = |text| Prices::from_json(text).unwrap_err();
    assert!(matches!(error("[]"), BaselineError::Json(_)));
    assert!(error("{}").source().is_some_and(|source| source.to_string().starts_with("missing field `format`")));
    assert_eq!(error("{\"format\": 9}").to_string(), "format 9 instead of 1");
}

/// True if each open element is closed, the last one first.
fn is_balanced(svg: &str) -> bool {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) if open.pop() != name => return false,
            (false, false) => open.extend(name),
            _ => {}
        }
    }
    open.is_empty()
}

#[test]
fn a_plot_is_well_formed_and_names_every_row() {
    let mut prices = priced(&*METERED.guest(), &[100, 300, 1_000]);
    for population in 1..=3 {
        let drawn = svg(&prices);
        assert!(drawn.starts_with("<svg ") && is_balanced(&drawn), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        // `terminate` burns nothing here.
        for item in Item::ALL.iter().filter(|item| **item != Item::Terminate) {
            assert!(drawn.contains(&format!(">{item}</text>")), "{population} left: {item}");
        }
        prices.populations.truncate(3 - population);
        if prices.populations.is_empty() {
            break;
        }
    }
    for unmetered in [priced(&NativeLru, &[100]), prices] {
        let drawn = svg(&unmetered);
        assert!(is_balanced(&drawn) && drawn.contains("No fuel was metered."), "{drawn}");
    }
}

#[test]
fn names_in_a_plot_do_not_cover_each_other() {
    let drawn = svg(&priced(&*METERED.guest(), &[100, 1_000]));
    let names = drawn.lines().filter(|line| line.starts_with("<text class=\"name\""));
    let height = |line: &str| line.split("y=\"").nth(1)?.split('"').next()?.parse::<f64>().ok();
    let mut heights: Vec<f64> = names.map(|line| height(line).unwrap()).collect();
    heights.sort_by(f64::total_cmp);
    assert_eq!(heights.len(), Item::ALL.len() - 1);
    assert!(heights.windows(2).all(|pair| pair[1] - pair[0] > 14.0), "{heights:?}");
    assert!(heights.iter().all(|height| (0.0..440.0).contains(height)), "{heights:?}");
}
