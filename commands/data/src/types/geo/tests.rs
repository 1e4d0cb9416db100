use proptest::prelude::*;

use super::*;

fn palermo() -> Point {
    Point::new(13.361_389, 38.115_556).unwrap()
}

fn catania() -> Point {
    Point::new(15.087_269, 37.502_669).unwrap()
}

#[test]
fn known_places() {
    assert_eq!(palermo().score(), 3_479_099_956_230_698);
    assert_eq!(catania().score(), 3_479_447_370_796_909);
    let stored = Point::of_score(3_479_099_956_230_698.0);
    assert_eq!(stored.geohash(), *b"sqc8b49rny0");
    assert_eq!(Point::of_score(3_479_447_370_796_909.0).geohash(), *b"sqdtr74hyu0");
    assert_eq!((stored.longitude(), stored.latitude()), (13.361_389_338_970_184, 38.115_556_395_496_3));
    let distance = stored.distance_m(Point::of_score(3_479_447_370_796_909.0));
    assert!((distance - 166_274.151_6).abs() < 0.000_1, "{distance}");
}

#[test]
fn the_ends_of_the_map() {
    assert!(Point::new(180.0, LATITUDE_MAX).is_some());
    assert!(Point::new(180.000_1, 0.0).is_none());
    assert!(Point::new(0.0, -LATITUDE_MAX - 0.000_1).is_none());
    assert!(Point::new(f64::NAN, 0.0).is_none());
    let corner = Point::of_score(Point::new(180.0, LATITUDE_MAX).unwrap().score() as f64);
    assert!((corner.longitude(), corner.latitude()) == (180.0, LATITUDE_MAX));
}

#[test]
fn any_score_is_some_place() {
    for score in [f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e30, -1e30, 1.8e19, 9.3e18, 0.5] {
        let point = Point::of_score(score);
        assert!(Point::new(point.longitude(), point.latitude()).is_some(), "{score}");
        point.geohash();
    }
}

#[test]
fn numbers_are_converted_as_in_c() {
    for (score, expected) in [
        (0.9, 0),
        (-1.0, u64::MAX),
        (9_223_372_036_854_775_808.0, 1 << 63),
        (1.2e19, 12_000_000_000_000_000_000),
        (1e30, 0),
        (f64::INFINITY, 0),
        (f64::NEG_INFINITY, 1 << 63),
    ] {
        assert_eq!(integer_of(score), expected, "{score}");
    }
}

#[test]
fn distances() {
    let point = |longitude, latitude| Point::new(longitude, latitude).unwrap();
    assert!(palermo().distance_m(palermo()).abs() < 1e-9);
    let half_around = point(0.0, 0.0).distance_m(point(180.0, 0.0));
    assert!((half_around - PI * EARTH_RADIUS_M).abs() < 1.0, "{half_around}");
    assert!(!point(-90.0, 45.0).distance_m(point(90.0, -45.0)).is_nan());
}

#[test]
fn huge_and_odd_areas_have_ranges() {
    let shapes = [0.0, 1e-300, 1e7, 1e300, f64::INFINITY].map(|radius| Shape::Circle { radius });
    let boxes = [(0.0, 0.0), (1e9, 1.0), (f64::INFINITY, f64::INFINITY)];
    let boxes = boxes.map(|(width, height)| Shape::Box { width, height });
    for shape in shapes.into_iter().chain(boxes) {
        for center in
            [Point::new(180.0, LATITUDE_MAX).unwrap(), Point::new(-180.0, -85.0).unwrap(), palermo()]
        {
            let area = Area { center, shape, unit_m: 1609.34 };
            let ranges: Vec<_> = area.score_ranges().collect();
            assert!((1..=9).contains(&ranges.len()) && ranges.iter().all(|(from, to)| from < to));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, failure_persistence: None, ..Default::default() })]

    /// A stored place is off by at most the size of a cell: 0.6 m.
    #[test]
    fn a_score_keeps_the_place(longitude in -180.0..180.0, latitude in -85.0..85.0) {
        let point = Point::new(longitude, latitude).unwrap();
        let stored = Point::of_score(point.score() as f64);
        prop_assert!((stored.longitude() - longitude).abs() < 3e-6 && (stored.latitude() - latitude).abs() < 1.4e-6);
        prop_assert_eq!(stored.score(), point.score());
    }

    /// What is in the area is in one of its ranges, and in one only.
    #[test]
    fn ranges_cover_the_area(
        longitude in -170.0..170.0,
        latitude in -70.0..70.0,
        size in 1.0..800.0,
        other in 1.0..800.0,
        is_box: bool,
        places in prop::collection::vec((-9.0..9.0, -9.0..9.0), 30),
    ) {
        let shape = if is_box { Shape::Box { width: size, height: other } } else { Shape::Circle { radius: size } };
        let area = Area { center: Point::new(longitude, latitude).unwrap(), shape, unit_m: 1000.0 };
        let ranges: Vec<_> = area.score_ranges().collect();
        for (east, north) in places {
            let point = Point::of_score(Point::new(longitude + east, latitude + north).unwrap().score() as f64);
            let score = point.score() as f64;
            let found = ranges.iter().filter(|(from, to)| (*from..*to).contains(&score)).count();
            prop_assert!(found <= 1);
            if area.distance_m(point).is_some() {
                prop_assert_eq!(found, 1, "{:?} around {:?}", point, area);
            }
        }
    }
}
