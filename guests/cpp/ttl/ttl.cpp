// A guest in C++ that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime.

#include <algorithm>
#include <list>
#include <map>

#include "innkeeper.hpp"

using namespace innkeeper;

// The most old sessions that one update forgets: more than one, so that it catches up.
constexpr int forgotten_max = 4;

class Ttl : public SessionCache {
 public:
  explicit Ttl(std::uint64_t ttl_ms) : ttl_ms(ttl_ms) {}

  void update(Key key, Session session) override {
    const std::uint64_t now_ms = host::now_ms();
    remove(key);
    forget_old(now_ms);
    // A rebuilt instance sees old sessions again: their time runs from their creation.
    const auto info = host::describe(session);
    const std::uint64_t created_ms = info ? info->created_ms : now_ms;
    const std::uint64_t until_ms = created_ms + std::min(ttl_ms, UINT64_MAX - created_ms);
    places[key] = registered.insert(registered.end(), {key, session, until_ms});
  }

  void remove(Key key) override {
    const auto known = places.find(key);
    if (known == places.end()) return;
    registered.erase(known->second);
    places.erase(known);
  }

  std::optional<Session> lookup(Key key) override {
    const auto known = places.find(key);
    if (known == places.end() || host::now_ms() >= known->second->until_ms) return std::nullopt;
    return known->second->session;
  }

  std::vector<Session> select_session(PartialKey partial) override {
    const std::uint64_t now_ms = host::now_ms();
    std::vector<Session> selected;
    auto own = places.lower_bound({partial, SessionId{0}});
    for (std::size_t seen = 0; seen < selected_max; ++seen, ++own) {
      if (own == places.end() || !(own->first.partial == partial)) break;
      if (now_ms < own->second->until_ms) selected.push_back(own->second->session);
    }
    return selected;
  }

  std::uint64_t size() const override { return registered.size(); }

  void foldl(Fold &fold) const override {
    for (const Entry &entry : registered) fold.apply(entry.key, entry.session);
  }

 private:
  struct Entry {
    Key key;
    Session session;
    std::uint64_t until_ms;  // From then on it is hidden.
  };

  void forget_old(std::uint64_t now_ms) {
    for (int forgotten = 0; forgotten < forgotten_max && !registered.empty(); ++forgotten) {
      const Entry oldest = registered.front();
      if (now_ms < oldest.until_ms) return;
      remove(oldest.key);
      host::evict(oldest.session);
    }
  }

  const std::uint64_t ttl_ms;
  std::list<Entry> registered;  // From the oldest to the newest.
  std::map<Key, std::list<Entry>::iterator> places;
};

Opened innkeeper::init(const InitArgs &args) {
  const auto text = args.property("ttl-ms");
  if (!text) return std::make_unique<Ttl>(args.lifetime_ms / 2);
  if (const auto ttl_ms = parse_number(*text)) return std::make_unique<Ttl>(*ttl_ms);
  return Refusal{"property `ttl-ms` is not a number: " + *text};
}
