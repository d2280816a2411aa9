// A guest in C++ that keeps at most `quota` sessions of each partial key, 16 unless the operator says otherwise: one
// more, and the oldest of that partial key goes. The host limits the total.

#include <list>
#include <map>

#include "innkeeper.hpp"

using namespace innkeeper;

constexpr std::uint64_t quota_default = 16;

class Quota : public SessionCache {
 public:
  explicit Quota(std::uint64_t quota) : quota(quota) {}

  void update(Key key, Session session) override {
    remove(key);
    const auto own = partials.find(key.partial);
    if (own != partials.end() && own->second.size() >= quota) {
      const Entry oldest = own->second.front();
      remove(oldest.key);
      host::evict(oldest.session);
    }
    // Looked up once more: with its last session a partial key is gone.
    auto &entries = partials[key.partial];
    places[key] = entries.insert(entries.end(), {key, session});
  }

  void remove(Key key) override {
    const auto known = places.find(key);
    if (known == places.end()) return;
    const auto own = partials.find(key.partial);
    own->second.erase(known->second);
    if (own->second.empty()) partials.erase(own);
    places.erase(known);
  }

  std::optional<Session> lookup(Key key) override {
    const auto known = places.find(key);
    if (known == places.end()) return std::nullopt;
    return known->second->session;
  }

  // The newest first: it lives longest.
  std::vector<Session> select_session(PartialKey partial) override {
    std::vector<Session> selected;
    const auto own = partials.find(partial);
    if (own == partials.end()) return selected;
    for (auto entry = own->second.rbegin(); entry != own->second.rend() && selected.size() < selected_max; ++entry)
      selected.push_back(entry->session);
    return selected;
  }

  std::uint64_t size() const override { return places.size(); }

  void foldl(Fold &fold) const override {
    for (const auto &[partial, entries] : partials)
      for (const Entry &entry : entries) fold.apply(entry.key, entry.session);
  }

 private:
  struct Entry {
    Key key;
    Session session;
  };

  const std::uint64_t quota;
  std::map<PartialKey, std::list<Entry>> partials;  // Each from the oldest registration to the newest; none is empty.
  std::map<Key, std::list<Entry>::iterator> places;
};

Opened innkeeper::init(const InitArgs &args) {
  const auto text = args.property("quota");
  const auto quota = text ? parse_number(*text) : quota_default;
  if (!quota || *quota == 0) return Refusal{"property `quota` is not a number above zero: " + *text};
  return std::make_unique<Quota>(*quota);
}
