# Completes verbs, settings and presets of `python -m experiments.VERB ...` in bash, asking Hydra:
#   source experiments/completion.bash
_prunekit() {
  local line=$COMP_LINE words
  read -ra words <<< "$line"
  [[ ${words[1]} == -m && ${words[2]} == experiments.* ]] || return
  if [[ $line != *"${words[2]} "* ]]; then  # still within the verb: those that have a configuration
    local verbs=(conf/*.yaml)
    verbs=("${verbs[@]#conf/}")
    COMPREPLY=($(compgen -W "${verbs[*]/%.yaml/ }" -P experiments. -- "${words[2]#experiments.}"))
    return
  fi
  local known
  known=$(COMP_LINE="verb.py ${line#*"${words[2]} "}" COMP_POINT=$COMP_POINT "${words[0]}" -m "${words[2]}" -sc query=bash)
  COMPREPLY=($(compgen -W "$known" -- "${line##* }"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}  # an override is one word
complete -o nospace -o default -F _prunekit python python3
