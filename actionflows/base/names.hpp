// The names of an enumeration's values, told once: to write them, to read them, to declare them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace actionflows {

// constexpr Names<Colour, 2> colour_names{{{"red", Colour::red}, {"blue", Colour::blue}}};
template <class Enum, std::size_t Size>
using Names = std::array<std::pair<std::string_view, Enum>, Size>;

// A value without a name gets the first.
template <class Enum, std::size_t Size>
constexpr std::string_view name_in(const Names<Enum, Size>& names, Enum value) {
  for (const auto& [name, named] : names)
    if (named == value) return name;
  return names.front().first;
}

// nullopt: it is no name.
template <class Enum, std::size_t Size>
constexpr std::optional<Enum> value_in(const Names<Enum, Size>& names, std::string_view text) {
  for (const auto& [name, named] : names)
    if (name == text) return named;
  return std::nullopt;
}

}  // namespace actionflows
