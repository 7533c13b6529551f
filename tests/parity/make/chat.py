"""Writes tests/parity/data/text/chat.json: conversations as apply_chat_template of transformers 5.17 writes them.

The templates are our own, short ones with the words by which each form is known, and their traits: a default system prompt, a system
message in front of the first or the last user's, contents that are trimmed, a place for thoughts, a date. Where templates raise an
exception the text is null.

    python tests/parity/make/chat.py
"""

import json
import pathlib
import random

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).parents[1] / "data" / "text" / "chat.json"

ASK = "{% if add_generation_prompt %}{{ '%s' }}{% endif %}"
TURNS = "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no turn') }}{% endif %}"
TAKE_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}"
)


def chatml(before="", content="message['content']", mark="\\n", gap="\\n"):
    return (
        before
        + "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '" + mark + "' + " + content + " + '<|im_end|>" + gap + "' }}"
        + "{% endfor %}" + ASK.replace("%s", "<|im_start|>assistant" + mark)
    )


def with_default(system):
    return chatml("{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n" + system + "<|im_end|>\\n' }}{% endif %}")


def thoughtful():
    """Qwen 3: thoughts of earlier answers are left out, the last answer has a place for them."""
    return """{%- set ns = namespace(last_query_index=messages|length - 1, open=true) %}
{%- for message in messages[::-1] %}
  {%- set tool = message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>') %}
  {%- if ns.open and message.role == 'user' and not tool %}
    {%- set ns.open = false %}
    {%- set ns.last_query_index = messages|length - 1 - loop.index0 %}
  {%- endif %}
{%- endfor %}
{%- for message in messages %}
  {%- set content = message.content %}
  {%- if message.role != 'assistant' %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
  {%- else %}
    {%- set thought = '' %}
    {%- if '</think>' in content %}
      {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
      {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if loop.index0 > ns.last_query_index and (loop.last or thought) %}
      {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
    {%- else %}
      {{- content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""


def llama2():
    return (
        TAKE_SYSTEM + "{% for m in rest %}" + TURNS + "{% if loop.first and system_message is defined %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + m['content'] %}"
        "{% else %}{% set content = m['content'] %}{% endif %}"
        "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    )


def llama3(always=False):
    ask = "<|start_header_id|>assistant<|end_header_id|>\\n\\n"
    return (
        "{{ bos_token }}{% for m in messages %}"
        "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
        + ("{{ '" + ask + "' }}" if always else ASK.replace("%s", ask))
    )


def llama31():
    return (
        '{{ bos_token }}{% if not date_string is defined %}{% set date_string = "26 Jul 2024" %}{% endif %}'
        '{% if messages[0]["role"] == "system" %}{% set said = messages[0]["content"] | trim %}{% set rest = messages[1:] %}'
        '{% else %}{% set said = "" %}{% set rest = messages %}{% endif %}'
        '{{ "<|start_header_id|>system<|end_header_id|>\\n\\n" }}{{ "Cutting Knowledge Date: December 2023\\n" }}'
        '{{ "Today Date: " + date_string + "\\n\\n" }}{{ said + "<|eot_id|>" }}'
        "{% for m in rest %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}"
        "{% endfor %}" + ASK.replace("%s", "<|start_header_id|>assistant<|end_header_id|>\\n\\n")
    )


def mistral(open_, close, answer, where=None):
    """`where`: the condition under which a user's turn has the system message in front."""
    user = "{{ '" + open_ + "' + m['content'] + '" + close + "' }}"
    if where is not None:
        user = (
            "{% if " + where + " and system_message is defined %}{{ '" + open_ + "' + system_message + '\\n\\n' + m['content'] + '" + close
            + "' }}{% else %}" + user + "{% endif %}"
        )
    return (
        "{{ bos_token }}" + (TAKE_SYSTEM if where is not None else "{% set rest = messages %}") + "{% for m in rest %}" + TURNS
        + "{% if m['role'] == 'user' %}" + user + "{% elif m['role'] == 'assistant' %}{{ " + answer + " + eos_token }}{% endif %}{% endfor %}"
    )


def gemma(system):
    first = (
        "{% if messages[0]['role'] == 'system' %}{% set first_user_prefix = messages[0]['content'] + '\\n\\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set first_user_prefix = '' %}{% set rest = messages %}{% endif %}"
        if system
        else "{% set rest = messages %}"
    )
    prefix = "{{ first_user_prefix if loop.first else '' }}" if system else ""
    return (
        "{{ bos_token }}" + first + "{% for m in rest %}" + TURNS
        + "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}" + prefix
        + "{{ m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}" + ASK.replace("%s", "<start_of_turn>model\\n")
    )


def phi(line):
    return (
        "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
        "{{ '<|system|>" + line + "' + message['content'] + '<|end|>" + line + "' }}{% elif message['role'] == 'user' %}"
        "{{ '<|user|>" + line + "' + message['content'] + '<|end|>" + line + "' }}{% elif message['role'] == 'assistant' %}"
        "{{ '<|assistant|>" + line + "' + message['content'] + '<|end|>" + line + "' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>" + line + "' }}{% else %}{{ eos_token }}{% endif %}"
    )


TEMPLATES = {
    "ChatML": ("ChatML", chatml()),
    "ChatML, a default system prompt": ("ChatML", with_default("You know tickets, made by us.")),
    "ChatML, trimmed": ("ChatML", chatml(content="message['content'] | trim")),
    "ChatML, thoughts": ("ChatML", thoughtful()),
    "ChatML, <|im_sep|>": ("ChatML", chatml(mark="<|im_sep|>", gap="")),
    "Llama 2": ("Llama 2", llama2()),
    "Llama 3": ("Llama 3", llama3()),
    "Llama 3, always asks": ("Llama 3", llama3(always=True)),
    "Llama 3.1": ("Llama 3", llama31()),
    "Mistral": ("Mistral", mistral("[INST] ", " [/INST]", "m['content']")),
    "Mistral, system first": ("Mistral", mistral(" [INST] ", " [/INST]", "' ' + message['content']", "loop.first").replace("m[", "message[").replace("for m in", "for message in")),
    "Mistral, system last": ("Mistral", mistral("[INST] ", "[/INST]", "' ' + message['content'] | trim", "loop.last").replace("m[", "message[").replace("for m in", "for message in")),
    "Mistral, no blanks": ("Mistral", mistral("[INST]", "[/INST]", "m['content']", "loop.last")),
    "Gemma": ("Gemma", gemma(False)),
    "Gemma 3": ("Gemma", gemma(True)),
    "Phi 3": ("Phi", phi("\\n")),
    "Phi 4 mini": ("Phi", phi("")),
}

WORDS = "printer order late refund blue screen thanks please again why when Grüße 東京 🙂 1,024 it's {braces} 'quoted'".split()
EDGES = ["", "", "", " ", "\n", "\u3000", "\t\n"]


def content(rng):
    return rng.choice(EDGES) + " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 6))) + rng.choice(EDGES)


def conversation(rng):
    messages = [{"role": "system", "content": content(rng) if rng.random() < 0.9 else ""}] if rng.random() < 0.4 else []
    for turn in range(rng.randint(1, 5)):
        role = "assistant" if turn % 2 else "user"
        if rng.random() < 0.04:  # out of turn
            role = "user" if turn % 2 else rng.choice(["assistant", "system"])
        said = content(rng)
        if role == "assistant" and rng.random() < 0.3:
            said = "<think>\n" + content(rng) + "\n</think>\n\n" + said
        messages.append({"role": role, "content": said})
    return messages


def main():
    rng = random.Random(21)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), bos_token="<s>", eos_token="</s>")
    conversations = [{"messages": conversation(rng), "asks": rng.random() < 0.5} for _ in range(100)]
    templates = []
    for name, (form, template) in TEMPLATES.items():
        texts = []
        for each in conversations:
            try:
                texts.append(tokenizer.apply_chat_template(each["messages"], chat_template=template, tokenize=False, add_generation_prompt=each["asks"]))
            except Exception as error:  # jinja2's
                assert "no turn" in str(error), error
                texts.append(None)
        templates.append({"name": name, "form": form, "template": template, "texts": texts})
    OUT.write_text(json.dumps({"bos": "<s>", "eos": "</s>", "conversations": conversations, "templates": templates}, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
