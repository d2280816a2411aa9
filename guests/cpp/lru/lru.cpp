// A guest in C++ that forgets the least recently used session once the vault is full.

#include <list>
#include <map>

#include "innkeeper.hpp"

using namespace innkeeper;

class Lru : public SessionCache {
 public:
  explicit Lru(std::uint32_t sessions_max) : sessions_max(sessions_max) {}

  void update(Key key, Session session) override {
    remove(key);
    if (!used.empty() && used.size() >= sessions_max) {
      const Entry oldest = used.front();
      remove(oldest.key);
      host::evict(oldest.session);
    }
    places[key] = used.insert(used.end(), {key, session});
  }

  void remove(Key key) override {
    const auto known = places.find(key);
    if (known == places.end()) return;
    used.erase(known->second);
    places.erase(known);
  }

  std::optional<Session> lookup(Key key) override {
    const auto known = places.find(key);
    if (known == places.end()) return std::nullopt;
    used.splice(used.end(), used, known->second);
    return known->second->session;
  }

  std::vector<Session> select_session(PartialKey partial) override {
    std::vector<Session> selected;
    auto own = places.lower_bound({partial, SessionId{0}});
    for (; own != places.end() && own->first.partial == partial && selected.size() < selected_max; ++own)
      selected.push_back(own->second->session);
    return selected;
  }

  std::uint64_t size() const override { return used.size(); }

  void foldl(Fold &fold) const override {
    for (const Entry &entry : used) fold.apply(entry.key, entry.session);
  }

 private:
  struct Entry {
    Key key;
    Session session;
  };

  const std::uint32_t sessions_max;
  std::list<Entry> used;  // From the least to the most recently used.
  std::map<Key, std::list<Entry>::iterator> places;
};

Opened innkeeper::init(const InitArgs &args) { return std::make_unique<Lru>(args.sessions_max); }
