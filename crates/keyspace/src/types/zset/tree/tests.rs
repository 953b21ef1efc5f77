//! The tree against a sorted vector, with its invariants checked along the way.

use super::super::member::Member;
use super::*;
use crate::random::seeded;
use std::collections::BTreeMap;

impl Tree {
    /// Fails unless order, counts, first entries, links, fill and the number of nodes are what they should be.
    pub(in super::super) fn check(&self) {
        let mut nodes = (0, 0);
        let mut leaves = Vec::new();
        let entries = self.check_node(self.root, self.height, (true, true), &mut nodes, &mut leaves);
        assert_eq!(entries, self.length);
        assert_eq!(nodes, (self.leaves, self.inners));
        let mut previous: Option<Entry> = None;
        for (at, &node) in leaves.iter().enumerate() {
            // SAFETY: a leaf of this tree.
            let leaf = unsafe { node.read::<Leaf>() };
            let neighbour = |index: Option<usize>| {
                index.and_then(|index| leaves.get(index)).map_or(std::ptr::null_mut(), |node| node.0.cast())
            };
            assert_eq!(leaf.next, neighbour(Some(at + 1)));
            assert_eq!(leaf.previous, neighbour(at.checked_sub(1)));
            for entry in (0..leaf.length).map(|index| leaf.entry(index)) {
                // SAFETY: the tree's members are alive.
                unsafe { assert_eq!(entry.score, entry.member.score(), "the copy of the score is stale") };
                if let Some(previous) = previous {
                    assert!(before(&entry)(previous.score, previous.member), "out of order");
                }
                previous = Some(entry);
            }
        }
    }

    fn check_node(
        &self,
        node: Node,
        level: usize,
        edge: (bool, bool),
        nodes: &mut (usize, usize),
        leaves: &mut Vec<Node>,
    ) -> usize {
        let is_root = node == self.root;
        let fewest = |few: usize| if edge.0 || edge.1 { 1 } else { few };
        if level == 0 {
            // SAFETY: a leaf of this tree.
            let leaf = unsafe { node.read::<Leaf>() };
            assert!(leaf.length <= LEAF_CAPACITY && (is_root || leaf.length >= fewest(Leaf::FEW)));
            nodes.0 += 1;
            leaves.push(node);
            return leaf.length;
        }
        // SAFETY: an inner node of this tree.
        let inner = unsafe { node.read::<Inner>() };
        assert!(inner.length <= INNER_CAPACITY);
        assert!(inner.length >= if is_root { 2 } else { fewest(Inner::FEW) });
        nodes.1 += 1;
        for child in 0..inner.length {
            let edge = (edge.0 && child == 0, edge.1 && child + 1 == inner.length);
            let count = self.check_node(inner.children[child], level - 1, edge, nodes, leaves);
            assert_eq!(count, inner.counts[child]);
            // SAFETY: a child of that level.
            let first = unsafe { first_of(inner.children[child], level - 1) };
            assert_eq!((first.score, first.member), (inner.scores[child], inner.members[child]));
        }
        inner.entries()
    }
}

/// A tree with the owner of its members and the order they should be in. Keys: score as an integer, number.
struct Model {
    tree: Tree,
    sorted: BTreeMap<(i64, u64), Member>,
}

impl Model {
    fn new() -> Self {
        Self { tree: Tree::new(), sorted: BTreeMap::new() }
    }

    fn insert(&mut self, score: i64, number: u64) {
        let member = Member::new(&number.to_be_bytes(), score as f64);
        let pointer = member.pointer();
        if self.sorted.contains_key(&(score, number)) {
            return;
        }
        self.sorted.insert((score, number), member);
        self.tree.insert(Entry { score: score as f64, member: pointer });
    }

    fn remove(&mut self, key: (i64, u64)) {
        let member = self.sorted.remove(&key).unwrap();
        self.tree.remove(Entry { score: key.0 as f64, member: member.pointer() });
    }

    fn update(&mut self, key: (i64, u64), score: i64) {
        if self.sorted.contains_key(&(score, key.1)) {
            return;
        }
        let member = self.sorted.remove(&key).unwrap();
        self.tree.update(Entry { score: key.0 as f64, member: member.pointer() }, score as f64);
        // SAFETY: nobody reads the score meanwhile.
        unsafe { member.pointer().set_score(score as f64) };
        self.sorted.insert((score, key.1), member);
    }

    fn key_at(&self, rank: usize) -> (i64, u64) {
        *self.sorted.keys().nth(rank).unwrap()
    }

    fn remove_range(&mut self, ranks: Range<usize>) {
        let expected: Vec<_> = self.sorted.keys().copied().skip(ranks.start).take(ranks.len()).collect();
        let mut removed = Vec::new();
        let Self { tree, sorted } = self;
        tree.remove_range(ranks, |entry| {
            let key = key(entry);
            assert!(sorted.remove(&key).is_some());
            removed.push(key);
        });
        assert_eq!(removed, expected);
    }

    fn check(&self) {
        self.tree.check();
        assert!(self.tree.range(0..usize::MAX, Order::Ascending).map(key).eq(self.sorted.keys().copied()));
        assert!(
            self.tree.range(0..usize::MAX, Order::Descending).map(key).eq(self.sorted.keys().rev().copied())
        );
    }

    fn check_rank(&self, rank: usize) {
        let key = self.key_at(rank);
        let member = self.sorted[&key].pointer();
        assert_eq!(self.tree.rank(Entry { score: key.0 as f64, member }), rank);
        assert!(
            self.tree
                .range(rank..rank + 1, Order::Ascending)
                .next()
                .is_some_and(|entry| entry.member == member)
        );
        assert_eq!(
            self.tree.partition_point(|score, _| score < key.0 as f64),
            self.sorted.range(..(key.0, 0)).count()
        );
    }
}

fn key(entry: Entry) -> (i64, u64) {
    // SAFETY: the model owns the member and keeps it until it is removed from the tree.
    let bytes = unsafe { entry.member.bytes() };
    (entry.score as i64, u64::from_be_bytes(bytes.try_into().unwrap()))
}

#[test]
fn a_run_of_random_operations_agrees_with_a_sorted_map() {
    // Few scores make many ties, many make few; the last starts with four levels of full nodes, so that all of them split.
    let runs = [
        (1, 1, 0, 4_000),
        (2, 7, 0, 4_000),
        (3, 1_000, 0, 6_000),
        (4, 1 << 40, 0, 30_000),
        (5, 90_000, 90_000, 6_000),
    ];
    for (seed, scores, filled, operations) in runs {
        let share = if cfg!(miri) { 50 } else { 1 };
        let (filled, operations) = (filled / share, operations / share as usize);
        let mut random = seeded(seed);
        let mut model = Model::new();
        (0..filled).for_each(|number| model.insert(number, 200_000 + number as u64));
        for step in 0..operations {
            // Phases of growth and of decline.
            let grows = (step / 2_000) % 3 != 2;
            let below = |bound: usize, random: &mut dyn FnMut() -> u64| (random() % bound as u64) as usize;
            let length = model.sorted.len();
            match below(10, &mut random) {
                0..=5 if grows || length == 0 => model.insert((random() % scores) as i64, random() % 100_000),
                0..=6 if length > 0 => {
                    let rank = below(length, &mut random);
                    let key = model.key_at(rank);
                    model.remove(key);
                }
                7 | 8 if length > 0 => {
                    let key = model.key_at(below(length, &mut random));
                    let near = key.0 + (random() % 5) as i64 - 2;
                    let score = if random().is_multiple_of(2) { near } else { (random() % scores) as i64 };
                    model.update(key, score);
                }
                _ if length > 0 => {
                    let rank = below(length, &mut random);
                    model.check_rank(rank);
                    if step % 500 == 0 {
                        model.remove_range(rank..rank + below(300, &mut random));
                    }
                }
                _ => {}
            }
            if step % (64 + filled as usize / 100) == 0 || model.sorted.len() < 70 && step % 4 == 0 {
                model.check();
            }
        }
        model.check();
        let length = model.sorted.len();
        model.remove_range(0..length);
        model.check();
        assert_eq!(model.tree.nodes(), 1);
    }
}

#[test]
fn appending_at_either_end_leaves_full_nodes() {
    let full = 20_000usize.div_ceil(LEAF_CAPACITY);
    for direction in [1, -1] {
        let mut model = Model::new();
        for number in 0..20_000 {
            let leaves = model.tree.leaves;
            model.insert(direction * number, number as u64);
            if model.tree.leaves != leaves {
                model.tree.check();
            }
        }
        assert_eq!(model.tree.leaves, full);
        assert_eq!(model.tree.inners, full.div_ceil(INNER_CAPACITY) + 1);
    }
}

#[test]
fn nodes_with_a_single_child_shrink_and_grow() {
    // The first entry after full nodes of both kinds stands alone in a leaf alone in its inner node.
    let full = (INNER_CAPACITY * LEAF_CAPACITY) as i64;
    for direction in [1, -1] {
        for more in 1..4 {
            let mut model = Model::new();
            (0..full + more).for_each(|number| model.insert(direction * number, number as u64));
            assert_eq!((model.tree.height, model.tree.inners), (2, 3));
            for number in (full..full + more).rev() {
                model.check();
                model.remove((direction * number, number as u64));
            }
            model.check();
            model.insert(direction * full, 0);
            model.check();
        }
    }
}

#[test]
fn a_queue_keeps_its_shape() {
    let mut model = Model::new();
    (0..3_000).for_each(|number| model.insert(number, number as u64));
    for number in 3_000..20_000 {
        model.insert(number, number as u64);
        model.remove_range(0..1);
        if number % 500 == 0 {
            model.check();
        }
    }
    assert!(model.tree.leaves <= 3_000 / LEAF_CAPACITY * 2);
}

#[test]
fn a_stack_at_the_end_of_full_leaves() {
    let mut model = Model::new();
    (0..2_000).for_each(|number| model.insert(number, number as u64));
    for length in (0..2_000).rev() {
        model.remove_range(length..length + 1);
        model.insert(5_000, 0);
        model.check();
        model.remove((5_000, 0));
        model.check();
    }
    assert_eq!(model.tree.len(), 0);
}

#[test]
fn is_built_from_sorted_entries_of_any_number() {
    for length in (0..200).chain([1_457, 1_458, 1_459, 39_366, 39_367, 50_000]) {
        let members: Vec<_> =
            (0..length as u64).map(|number| Member::new(&number.to_be_bytes(), 1.0)).collect();
        let entries: Vec<_> =
            members.iter().map(|member| Entry { score: 1.0, member: member.pointer() }).collect();
        let tree = Tree::from_sorted(&entries);
        tree.check();
        assert_eq!(tree.len(), length);
        assert!(
            tree.range(0..length, Order::Ascending).map(key).eq((0..length as u64).map(|number| (1, number)))
        );
    }
}

#[test]
fn ranges_of_ranks_are_clamped() {
    let mut model = Model::new();
    (0..500).for_each(|number| model.insert(0, number));
    let check = |ranks: Range<usize>, expected: Range<u64>| {
        let numbers =
            |order| model.tree.range(ranks.clone(), order).map(|entry| key(entry).1).collect::<Vec<_>>();
        assert_eq!(numbers(Order::Ascending), expected.clone().collect::<Vec<_>>());
        assert_eq!(numbers(Order::Descending), expected.rev().collect::<Vec<_>>());
    };
    check(0..0, 0..0);
    check(0..1, 0..1);
    check(61..63, 61..63);
    check(499..500, 499..500);
    check(490..usize::MAX, 490..500);
    check(500..501, 0..0);
    check(usize::MAX..usize::MAX, 0..0);
    #[expect(clippy::reversed_empty_ranges, reason = "it is what a client may ask for")]
    check(300..200, 0..0);
}
