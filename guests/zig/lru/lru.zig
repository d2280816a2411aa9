//! A guest in Zig that forgets the least recently used session once the vault is full.
//!
//! Each session is a node in two lists: all sessions in the order of use, and those of its partial key in the order of
//! registration. Only numbers are kept: the sessions themselves never leave the host.

const std = @import("std");
const builtin = @import("builtin");

// The declarations of the WIT package's C bindings.
const Key = extern struct { partial: u64, id: u64 };
const Element = extern struct { key: Key, session: u64 };
const Property = extern struct { name: [2]usize, value: [2]usize };
const Properties = extern struct { ptr: [*]Property, len: usize };
const InitArgs = extern struct { role: u8, max_sessions: u32, lifetime_ms: u64, properties: Properties };
const Sessions = extern struct { ptr: ?[*]u64, len: usize };

const host = if (builtin.is_test) double else struct {
    extern fn innkeeper_session_cache_host_evict(session: u64) void;
    extern fn innkeeper_session_cache_host_apply(fun: u64, element: *Element, acc: u64) u64;
    extern fn exports_innkeeper_session_cache_callbacks_init_args_free(args: *InitArgs) void;
    const evict = innkeeper_session_cache_host_evict;
    const apply = innkeeper_session_cache_host_apply;
    const free_args = exports_innkeeper_session_cache_callbacks_init_args_free;
};

// The bindings free the answer of `select_session` with C's `free`.
const allocator = if (builtin.is_test) std.testing.allocator else std.heap.c_allocator;

/// More sessions than the host asks for, and well within a call's fuel.
const selected_max = 256;

const List = std.DoublyLinkedList;

const Node = struct { key: Key, session: u64, of_use: List.Node = .{}, of_partial: List.Node = .{} };

// Keys are keyed fingerprints already: a hash only has to spread their bits. It is cheap, as a map that grows hashes all
// of its keys in one call.
fn Map(comptime K: type, comptime V: type) type {
    return std.array_hash_map.Custom(K, V, struct {
        pub fn hash(_: @This(), key: K) u32 {
            const mixed = if (K == Key) key.id +% std.math.rotl(u64, key.partial, 21) else key;
            return @truncate((mixed *% 0x9e3779b97f4a7c15) >> 32);
        }
        pub fn eql(_: @This(), a: K, b: K, _: usize) bool {
            return std.meta.eql(a, b);
        }
    }, false);
}

const Lru = struct {
    sessions_max: u32,
    nodes: Map(Key, *Node) = .empty,
    /// The nodes of each partial key, oldest registration first. No list is empty.
    partials: Map(u64, List) = .empty,
    /// All nodes, the least recently used first.
    use: List = .{},

    fn deinit(lru: *Lru) void {
        for (lru.nodes.values()) |node| allocator.destroy(node);
        lru.nodes.deinit(allocator);
        lru.partials.deinit(allocator);
    }

    fn update(lru: *Lru, key: Key, session: u64) !void {
        lru.delete(key);
        if (lru.nodes.count() >= lru.sessions_max) if (lru.use.first) |first| {
            const victim: *Node = @alignCast(@fieldParentPtr("of_use", first));
            host.evict(victim.session);
            lru.delete(victim.key);
        };
        const node = try allocator.create(Node);
        node.* = .{ .key = key, .session = session };
        try lru.nodes.put(allocator, key, node);
        const partial = try lru.partials.getOrPutValue(allocator, key.partial, .{});
        partial.value_ptr.append(&node.of_partial);
        lru.use.append(&node.of_use);
    }

    fn delete(lru: *Lru, key: Key) void {
        const node = (lru.nodes.fetchSwapRemove(key) orelse return).value;
        const partial = lru.partials.getPtr(key.partial).?;
        partial.remove(&node.of_partial);
        if (partial.first == null) _ = lru.partials.swapRemove(key.partial);
        lru.use.remove(&node.of_use);
        allocator.destroy(node);
    }

    fn lookup(lru: *Lru, key: Key) ?u64 {
        const node = lru.nodes.get(key) orelse return null;
        lru.use.remove(&node.of_use);
        lru.use.append(&node.of_use);
        return node.session;
    }

    /// Newest registration first.
    fn select(lru: *Lru, partial: u64) !std.ArrayList(u64) {
        var next = (lru.partials.get(partial) orelse return .empty).last;
        var sessions: std.ArrayList(u64) = try .initCapacity(allocator, selected_max);
        while (next) |link| : (next = link.prev) {
            const node: *Node = @alignCast(@fieldParentPtr("of_partial", link));
            sessions.appendBounded(node.session) catch break;
        }
        return sessions;
    }

    fn foldl(lru: *Lru, fun: u64, acc0: u64) u64 {
        var acc, var next = .{ acc0, lru.use.first };
        while (next) |link| : (next = link.next) {
            const node: *Node = @alignCast(@fieldParentPtr("of_use", link));
            var element: Element = .{ .key = node.key, .session = node.session };
            acc = host.apply(fun, &element, acc);
        }
        return acc;
    }
};

// The callbacks. Allocation fails only past the memory limit; the trap tells the host, which builds a new instance.

fn init(args: *InitArgs, cache: *u64, _: *anyopaque) callconv(.c) bool {
    const lru = allocator.create(Lru) catch @trap();
    lru.* = .{ .sessions_max = args.max_sessions };
    host.free_args(args);
    cache.* = @intFromPtr(lru);
    return true;
}

fn of(cache: u64) *Lru {
    return @ptrFromInt(@as(usize, @intCast(cache)));
}

fn terminate(cache: u64) callconv(.c) void {
    of(cache).deinit();
    allocator.destroy(of(cache));
}

fn update(cache: u64, key: *Key, session: u64) callconv(.c) void {
    of(cache).update(key.*, session) catch @trap();
}

fn delete(cache: u64, key: *Key) callconv(.c) void {
    of(cache).delete(key.*);
}

fn select_session(cache: u64, partial: u64, sessions: *Sessions) callconv(.c) void {
    const selected = of(cache).select(partial) catch @trap();
    sessions.* = .{ .ptr = selected.items.ptr, .len = selected.items.len };
}

fn size(cache: u64) callconv(.c) u64 {
    return of(cache).nodes.count();
}

fn foldl(fun: u64, acc: u64, cache: u64) callconv(.c) u64 {
    return of(cache).foldl(fun, acc);
}

fn lookup(cache: u64, key: *Key, session: *u64) callconv(.c) bool {
    session.* = of(cache).lookup(key.*) orelse return false;
    return true;
}

comptime {
    const prefix = "exports_innkeeper_session_cache_callbacks_";
    for (.{ "init", "terminate", "update", "delete", "select_session", "size", "foldl", "lookup" }) |name| {
        @export(&@field(@This(), name), .{ .name = prefix ++ name });
    }
}

/// The host in native tests.
const double = struct {
    var evicted: u64 = 0;
    var folded: u64 = 0;

    fn evict(session: u64) void {
        evicted = session;
    }
    fn apply(_: u64, element: *Element, acc: u64) u64 {
        folded = folded * 100 + element.session;
        return acc + 1;
    }
    fn free_args(_: *InitArgs) void {}
};

test "the least recently used session goes" {
    var lru: Lru = .{ .sessions_max = 2 };
    defer lru.deinit();
    try lru.update(.{ .partial = 1, .id = 1 }, 11);
    try lru.update(.{ .partial = 1, .id = 2 }, 12);
    try std.testing.expectEqual(11, lru.lookup(.{ .partial = 1, .id = 1 }));
    try lru.update(.{ .partial = 1, .id = 3 }, 13);
    try std.testing.expectEqual(12, double.evicted);
    try std.testing.expectEqual(null, lru.lookup(.{ .partial = 1, .id = 2 }));
    try std.testing.expectEqual(2, lru.foldl(0, 0));
    try std.testing.expectEqual(1113, double.folded);
}

test "a key stands for its last session" {
    double.evicted = 0;
    var lru: Lru = .{ .sessions_max = 2 };
    defer lru.deinit();
    const key: Key = .{ .partial = 1, .id = 1 };
    for (11..14) |session| try lru.update(key, session);
    try std.testing.expectEqual(13, lru.lookup(key));
    try std.testing.expectEqual(.{ 0, 1 }, .{ double.evicted, lru.nodes.count() });
}

test "select gives the sessions of one partial key, newest first" {
    var lru: Lru = .{ .sessions_max = 9 };
    defer lru.deinit();
    try lru.update(.{ .partial = 2, .id = 7 }, 27);
    for ([_]u64{ 9, 3, 5 }) |id| try lru.update(.{ .partial = 1, .id = id }, 10 + id);
    lru.delete(.{ .partial = 1, .id = 3 });
    var selected = try lru.select(1);
    defer selected.deinit(allocator);
    try std.testing.expectEqualSlices(u64, &.{ 15, 19 }, selected.items);
}
