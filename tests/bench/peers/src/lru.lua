-- The logic of the Rust guest `lru`: sessions by key and by partial key, the least recently used first.

local sessions_max, count = 0, 0
local nodes = {}
local ends = {}
ends.before, ends.after = ends, ends

local function unlink(node)
  node.before.after, node.after.before = node.after, node.before
end

local function link_back(node)
  node.before, node.after = ends.before, ends
  ends.before.after, ends.before = node, node
end

function init(max)
  sessions_max = max
end

function take(partial, id)
  local ids = nodes[partial]
  local node = ids and ids[id]
  if not node then return nil end
  ids[id] = nil
  if not next(ids) then nodes[partial] = nil end
  unlink(node)
  count = count - 1
  return node.session
end

function delete(partial, id)
  take(partial, id)
end

function update(partial, id, session)
  take(partial, id)
  if count >= sessions_max then take(ends.after.partial, ends.after.id) end
  local node = { partial = partial, id = id, session = session }
  local ids = nodes[partial]
  if not ids then
    ids = {}
    nodes[partial] = ids
  end
  ids[id] = node
  link_back(node)
  count = count + 1
end

function lookup(partial, id)
  local ids = nodes[partial]
  local node = ids and ids[id]
  if not node then return nil end
  unlink(node)
  link_back(node)
  return node.session
end

function select_session(partial)
  local found = {}
  for _, node in pairs(nodes[partial] or {}) do found[#found + 1] = node.session end
  return found
end

function foldl(fun)
  local node = ends.after
  while node ~= ends do
    fun(node.partial, node.id, node.session)
    node = node.after
  end
end
