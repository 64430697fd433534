// How options are declared: each flag has a variable of the same name (--idle-timeout is
// ACTIONFLOWS_IDLE_TIMEOUT) and shows its default in --help.
#pragma once

#include "cli/quantities.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>

namespace actionflows::cli {

// "idle-timeout" -> "ACTIONFLOWS_IDLE_TIMEOUT".
inline std::string variable_of(std::string_view flag) {
  std::string name = "ACTIONFLOWS_";
  for (const char c : flag)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// Empty where it is not set.
inline std::string environment(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  return value == nullptr ? std::string() : std::string(value);
}

// For what is read by a rule of its own, which is told where a value breaks it.
template <class Quantity>
CLI::Validator fitting() {
  const auto refuse_odd = [](const std::string& text) {
    return Quantity::parse(text) ? std::string()
                                 : "\"" + text + "\" is not " + std::string(Quantity::rule);
  };
  return {refuse_odd, "", "fitting"};
}

// An option --`name` that reads into `value`, whose present value is the default. `kind` stands in
// the help in place of the value: "FILE".
template <class T>
CLI::Option* add_flag(CLI::App& command, const std::string& name, T& value, std::string kind,
                      std::string description) {
  CLI::Option* const option = command.add_option("--" + name, value, std::move(description))
                                  ->envname(variable_of(name))
                                  ->type_name(std::move(kind))
                                  ->capture_default_str();
  if constexpr (requires { T::rule; }) option->check(fitting<T>());
  return option;
}

// The same for numbers, sizes and durations of which 0 makes no sense.
template <class T>
void add_positive_flag(CLI::App& command, const std::string& name, T& value, std::string kind,
                       std::string description) {
  const auto refuse_zero = [](const std::string& text) {
    return text.find_first_of("123456789") == text.npos ? "it must be more than 0" : std::string();
  };
  add_flag(command, name, value, std::move(kind), std::move(description))
      ->check(CLI::Validator(refuse_zero, "", "positive"));
}

// An option that is given or not.
inline CLI::Option* add_switch(CLI::App& command, const std::string& name, bool& value,
                               std::string description) {
  return command.add_flag("--" + name, value, std::move(description))->envname(variable_of(name));
}

}  // namespace actionflows::cli
