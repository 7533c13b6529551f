// dept completion: scripts for bash, zsh and fish, from the very description of options that the commands read by.
#include <algorithm>
#include <cctype>
#include <sstream>

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr Usage completion_usage{
    "Usage: dept completion bash|zsh|fish\n"
    "Prints the shell's completion of commands, flags, choices and files. The installed tree has them in their usual places.\n",
    false, 1,
    "  source <(dept completion bash)\n"
    "  dept completion zsh > ~/.zfunc/_dept\n"
    "  dept completion fish > ~/.config/fish/completions/dept.fish\n"};

struct Flag {
  std::string name, help;
  std::vector<std::string> choices;  // of its value; none: free
  bool takes_value = true;           // that has to follow
  bool file = false;                 // a value without choices may be a path
};

/// "train", or a command and its action, "data show".
struct Entry {
  std::string_view command, action, summary;
  std::vector<Flag> flags;
  bool files = false;  // words that are no flags may be paths
};

template <class T>
bool holds(const Option& option) {
  return std::holds_alternative<T*>(option.target) || std::holds_alternative<std::optional<T>*>(option.target);
}

Flag flag_of(const Option& option) {
  Flag flag{option.name, option.help, option.allowed};
  if (holds<bool>(option)) {
    flag.choices = {"true", "false"};
    flag.takes_value = false;
  }
  // The words of a form as "cpu|cuda|cuda:N" that may be typed as they are.
  std::istringstream form(option.form);
  for (std::string word; std::getline(form, word, '|');)
    if (std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c) != 0; }))
      flag.choices.push_back(word);
  const bool text = holds<std::string>(option) || std::holds_alternative<std::vector<std::string>*>(option.target);
  flag.file = text && flag.choices.empty();
  return flag;
}

// What the command's own read_command_line is handed.
Entry describe(const Command& command, std::string_view action) {
  Entry entry{command.name, action, command.summary, {}};
  visit_command_lines([&](const OptionSet& set, const Usage& usage) {
    for (const Option& option : set.options())
      if (option.idle.empty()) entry.flags.push_back(flag_of(option));
    if (usage.recipe) entry.flags.push_back({"dump_config", "print the options as they come out, as a recipe", {}, false});
    entry.files = usage.recipe || usage.positionals > 0;
  });
  command.run(action.empty() ? std::vector<std::string>() : std::vector<std::string>{std::string(action)});
  visit_command_lines({});
  entry.flags.push_back({"help", "show usage, flags and examples", {}, false});
  return entry;
}

std::vector<Entry> all_entries() {
  std::vector<Entry> entries;
  for (const Command& command : commands()) {
    if (command.run == run_completion) continue;
    if (command.actions.empty()) entries.push_back(describe(command, ""));
    for (const std::string_view action : command.actions) entries.push_back(describe(command, action));
  }
  return entries;
}

std::string words(const std::vector<std::string_view>& list) {
  std::string out;
  for (const std::string_view word : list) out += str(out.empty() ? "" : " ", word);
  return out;
}

std::string command_words() {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  return words(names);
}

// For a string in single quotes, and one line of it.
std::string escaped(std::string_view text, std::string_view escapes = "") {
  std::string out;
  for (const char c : text) {
    if (escapes.find(c) != std::string_view::npos) out += '\\';
    if (c == '\'')
      out += "'\\''";
    else
      out += c == '\n' ? ' ' : c;
  }
  return out;
}

// The branches of the script's three case statements.
struct BashCases {
  std::string actions, flags, values;  // by command; by command and action; by command, action and flag
};

BashCases bash_cases() {
  BashCases cases;
  for (const Entry& entry : all_entries()) {
    const std::string key = str(entry.command, entry.action.empty() ? "" : " ", entry.action);
    std::vector<std::string> names;
    for (const Flag& flag : entry.flags) {
      names.push_back("--" + flag.name);
      if (flag.choices.empty() && (flag.file || !flag.takes_value)) continue;
      cases.values += str("    '", key, " --", flag.name, "') choices='", escaped(join(flag.choices, " ")), "' ;;\n");
    }
    cases.flags += str("    '", key, "') flags='", join(names, " "), "' ;;\n");
  }
  for (const Command& command : commands())
    if (!command.actions.empty()) cases.actions += str("    ", command.name, ") actions='", words(command.actions), "' ;;\n");
  return cases;
}

std::string bash_script() {
  const BashCases cases = bash_cases();
  return str(
      "# bash completion of dept, by: dept completion bash\n"
      "_dept() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local command=\"${COMP_WORDS[1]}\" actions='' flags='' choices=none\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W '",
      command_words(),
      " --help --version' -- \"$current\")\n"
      "    return\n"
      "  fi\n"
      "  case \"$command\" in\n",
      cases.actions,
      "  esac\n"
      "  if [ -n \"$actions\" ]; then\n"
      "    if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
      "      mapfile -t COMPREPLY < <(compgen -W \"$actions --help\" -- \"$current\")\n"
      "      return\n"
      "    fi\n"
      "    command=\"$command ${COMP_WORDS[2]}\"\n"
      "  fi\n"
      "  if [ \"$current\" = '=' ]; then\n"
      "    current=''\n"
      "  elif [ \"$previous\" = '=' ]; then\n"
      "    previous=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
      "  fi\n"
      "  case \"$command\" in\n",
      cases.flags,
      "  esac\n"
      "  case \"$previous\" in\n"
      "    --*)\n"
      "      previous=\"${previous:2}\"\n"
      "      previous=\"--${previous//-/_}\"\n"
      "      ;;\n"
      "  esac\n"
      "  case \"$command $previous\" in\n",
      cases.values,
      "  esac\n"
      "  if [ \"${current:0:1}\" = - ]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$current\")\n"
      "  elif [ \"$choices\" = none ]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "  else\n"
      "    mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$current\")\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _dept dept\n");
}

std::string zsh_flag(const Flag& flag) {
  std::string out = str("--", flag.name, "[", escaped(flag.help, "[]:\\"), "]");
  if (!flag.choices.empty())
    out += str(flag.takes_value ? ":" : "::", flag.name, ":(", escaped(join(flag.choices, " "), ":"), ")");
  else if (flag.takes_value)
    out += str(":", flag.name, ":", flag.file ? "_files" : " ");
  return str("'*", out, "'");
}

std::string zsh_script() {
  std::string cases, commands_list, second_words;
  for (const Command& command : commands()) {
    commands_list += str("    '", command.name, ":", escaped(command.summary, ":"), "'\n");
    if (command.actions.empty()) continue;
    cases += str("    '", command.name, " ') compadd ", words(command.actions), " ;;\n");
    second_words += str("    ", command.name, ") (( CURRENT > 3 )) && action=$words[3] && shift words && (( CURRENT-- )) ;;\n");
  }
  for (const Entry& entry : all_entries()) {
    cases += str("    '", entry.command, " ", entry.action, "') _arguments");
    for (const Flag& flag : entry.flags) cases += " \\\n      " + zsh_flag(flag);
    cases += str(entry.files ? " \\\n      '*:file:_files'" : "", " ;;\n");
  }
  return str(
      "#compdef dept\n# zsh completion of dept, by: dept completion zsh\n"
      "_dept() {\n"
      "  local command=$words[2] action=''\n"
      "  local -a commands\n"
      "  commands=(\n",
      commands_list,
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  case $command in\n",
      second_words,
      "  esac\n"
      "  shift words && (( CURRENT-- ))\n"
      "  case \"$command $action\" in\n",
      cases,
      "  esac\n"
      "}\n"
      "if [ \"$funcstack[1]\" = _dept ]; then _dept \"$@\"; else compdef _dept dept; fi\n");
}

std::string fish_script() {
  std::string out =
      "# fish completion of dept, by: dept completion fish\n"
      "function __dept_at\n"
      "  set -l words (commandline -opc)\n"
      "  set -l last (math 1 + (count $argv))\n"
      "  test (count $words) -ge $last; and test \"$words[2..$last]\" = \"$argv\"\n"
      "end\n"
      "function __dept_ends_at\n"
      "  __dept_at $argv; and test (count (commandline -opc)) -eq (math 1 + (count $argv))\n"
      "end\n"
      "complete -c dept -f\n";
  for (const Command& command : commands()) {
    out += str("complete -c dept -n 'test (count (commandline -opc)) -eq 1' -a ", command.name, " -d '", escaped(command.summary),
               "'\n");
    if (!command.actions.empty())
      out += str("complete -c dept -n '__dept_ends_at ", command.name, "' -a '", words(command.actions), "'\n");
  }
  for (const Entry& entry : all_entries()) {
    const std::string where = str("__dept_at ", entry.command, entry.action.empty() ? "" : " ", entry.action);
    if (entry.files) out += str("complete -c dept -n '", where, "' -F\n");
    for (const Flag& flag : entry.flags) {
      out += str("complete -c dept -n '", where, "' -l ", flag.name);
      if (flag.takes_value) out += flag.file ? " -r -F" : " -x";
      if (!flag.choices.empty() && flag.takes_value) out += str(" -a '", escaped(join(flag.choices, " ")), "'");
      out += str(" -d '", escaped(flag.help, "\\"), "'\n");
    }
  }
  return out;
}

}  // namespace

int run_completion(const std::vector<std::string>& arguments) {
  OptionSet set;
  const auto shells = read_command_line(set, arguments, completion_usage);
  if (!shells) return 0;
  const std::string shell = shells->empty() ? "" : shells->front();
  if (shell == "bash") return write_stdout(bash_script()), 0;
  if (shell == "zsh") return write_stdout(zsh_script()), 0;
  if (shell == "fish") return write_stdout(fish_script()), 0;
  fail(Code::usage, "dept completion", "bash, zsh or fish", shell.empty() ? "nothing" : quote(shell));
}

}  // namespace dept
