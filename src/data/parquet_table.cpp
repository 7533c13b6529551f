// Parquet through Arrow's C++ library, in batches: nested values come through as their JSON text, as those of a .json file do.
#include <arrow/array.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include <algorithm>
#include <cmath>

#include "data/class_features.h"
#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int64_t batch_rows = 1024;
constexpr int64_t most_arrow_bytes = int64_t{512} << 20;  // decoded pages and one batch
constexpr size_t cell_bytes = sizeof(std::string), row_bytes = 64;

class ParquetReader {
 public:
  ParquetReader(Table& table, std::span<const std::byte> bytes, bool class_names)
      : table_(table),
        class_names_(class_names),
        most_bytes_(free_bytes + most_growth * bytes.size()),
        pool_(arrow::default_memory_pool(), most_arrow_bytes) {
    auto buffer =
        std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size()));
    parquet::arrow::FileReaderBuilder builder;
    require(builder.Open(std::make_shared<arrow::io::BufferReader>(buffer), parquet::ReaderProperties(&pool_)));
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_batch_size(batch_rows);
    builder.memory_pool(&pool_)->properties(properties);
    require(builder.Build(&reader_));
  }

  void read(size_t max_rows) {
    std::shared_ptr<arrow::Schema> schema;
    require(reader_->GetSchema(&schema));
    table_.columns = schema->field_names();
    for (const std::string& name : table_.columns) require_utf8(name, table_.path, 1);
    require_distinct_columns(table_, table_.path.string());
    table_.nested.assign(table_.columns.size(), 0);
    if (class_names_) read_class_names(*schema);
    auto opened = reader_->GetRecordBatchReader();
    require(opened.status());
    std::shared_ptr<arrow::RecordBatch> batch;
    while (table_.rows.size() < max_rows) {
      require((*opened)->ReadNext(&batch));
      if (batch == nullptr) return;
      require_sound(*batch);
      add(*batch, std::min(max_rows - table_.rows.size(), static_cast<size_t>(batch->num_rows())));
    }
  }

 private:
  void require(const arrow::Status& status) const {
    if (status.ok()) return;
    const std::string message = status.message();
    fail(Code::bad_input, table_.path.string(), "a readable parquet file", quote(message.substr(0, message.find('\n')), 200));
  }

  // A damaged file can give arrays whose offsets point anywhere. A column of text is looked at as bytes: checked() names the row
  // that is no UTF-8.
  void require_sound(const arrow::RecordBatch& batch) const {
    for (const std::shared_ptr<arrow::Array>& column : batch.columns()) {
      const bool text = column->type_id() == arrow::Type::STRING;
      const auto viewed = text ? column->View(arrow::binary()) : arrow::Result<std::shared_ptr<arrow::Array>>(column);
      require(viewed.status());
      require((*viewed)->ValidateFull());
    }
  }

  void read_class_names(const arrow::Schema& schema) {
    const int at = schema.metadata() == nullptr ? -1 : schema.metadata()->FindKey("huggingface");
    if (at < 0) return;
    features_ = parse_class_features(schema.metadata()->value(at));
    table_.class_names.resize(table_.columns.size());
    for (size_t i = 0; i < table_.columns.size(); ++i)
      if (const ClassFeature* feature = feature_of(table_.columns[i])) table_.class_names[i] = feature->names;
  }

  const ClassFeature* feature_of(const std::string& name, const ClassFeature* parent = nullptr) const {
    const auto& fields = parent == nullptr ? features_.fields : parent->fields;
    const auto found = fields.find(name);
    return found == fields.end() ? nullptr : &found->second;
  }

  void add(const arrow::RecordBatch& batch, size_t count) {
    if (batch.num_columns() != static_cast<int>(table_.columns.size()))
      fail(Code::bad_input, table_.path.string(), str(table_.columns.size(), " columns"), str(batch.num_columns()));
    const size_t first = table_.rows.size();
    bytes_ += count * row_bytes;
    table_.rows.resize(first + count, std::vector<std::string>(table_.columns.size()));
    for (size_t i = first; i < first + count; ++i) table_.lines.push_back(static_cast<int64_t>(i) + 1);
    for (size_t column = 0; column < table_.columns.size(); ++column) {
      const arrow::Array& array = *batch.column(static_cast<int>(column));
      const ClassFeature* feature = feature_of(table_.columns[column]);
      for (size_t i = 0; i < count; ++i) {
        std::string& cell = table_.rows[first + i][column];
        cell = cell_text(array, static_cast<int64_t>(i), column, first + i, feature);
        bytes_ += cell_bytes + cell.size();
      }
      if (bytes_ > most_bytes_)
        fail(Code::bad_input, table_.path.string(), str("rows of at most ", most_growth, " times the file's size"), "more");
    }
  }

  std::string cell_text(const arrow::Array& array, int64_t i, size_t column, size_t row, const ClassFeature* feature) {
    const OrderedJson value = json_of(array, i, row, feature);
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) {
      table_.set_null(row, column);
      return "";
    }
    if (value.is_structured() && table_.nested[column] == 0) table_.nested[column] = row + 1;
    return value.dump();
  }

  template <class ArrayType>
  OrderedJson list_of(const arrow::Array& array, int64_t i, size_t row, const ClassFeature* feature) {
    const ClassFeature* item = feature == nullptr ? nullptr : feature->item.get();
    const auto& list = static_cast<const ArrayType&>(array);
    OrderedJson items = OrderedJson::array();
    for (int64_t at = list.value_offset(i), end = at + list.value_length(i); at < end; ++at)
      items.push_back(json_of(*list.values(), at, row, item));
    return items;
  }

  template <class ArrayType>
  OrderedJson text_of(const arrow::Array& array, int64_t i, size_t row) {
    return checked(static_cast<const ArrayType&>(array).GetView(i), row);
  }

  std::string checked(std::string_view text, size_t row) const {
    if (find_invalid_utf8(text) != std::string_view::npos)
      fail(Code::bad_input, table_.where(row), "UTF-8 text", str("the bytes ", quote(text, 20)));
    return std::string(text);
  }

  // JSON has no words for what is not finite.
  static OrderedJson real(double value) {
    if (std::isfinite(value)) return value;
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }

  template <class ArrayType>
  static OrderedJson number_of(const arrow::Array& array, int64_t i) {
    return static_cast<const ArrayType&>(array).Value(i);
  }

  OrderedJson json_of(const arrow::Array& array, int64_t i, size_t row, const ClassFeature* feature) {
    if (array.IsNull(i)) return nullptr;
    const OrderedJson value = value_of(array, i, row, feature);
    return feature != nullptr && !feature->names.empty() && value.is_number_integer() ? class_name(value, row, *feature) : value;
  }

  // -1 is a hidden class.
  OrderedJson class_name(const OrderedJson& value, size_t row, const ClassFeature& feature) const {
    const std::vector<std::string>& names = feature.names;
    if (value == -1) return value;
    if (value < 0 || value >= names.size())
      fail(Code::bad_input, table_.where(row),
           str("a class from 0 to ", names.size() - 1, " (", quote(join(names, ", ")), ") or -1"), value.dump());
    return names[value.get<size_t>()];
  }

  OrderedJson value_of(const arrow::Array& array, int64_t i, size_t row, const ClassFeature* feature) {
    using arrow::Type;
    switch (array.type_id()) {
      case Type::BOOL:
        return number_of<arrow::BooleanArray>(array, i);
      case Type::INT8:
        return number_of<arrow::Int8Array>(array, i);
      case Type::INT16:
        return number_of<arrow::Int16Array>(array, i);
      case Type::INT32:
        return number_of<arrow::Int32Array>(array, i);
      case Type::INT64:
        return number_of<arrow::Int64Array>(array, i);
      case Type::UINT8:
        return number_of<arrow::UInt8Array>(array, i);
      case Type::UINT16:
        return number_of<arrow::UInt16Array>(array, i);
      case Type::UINT32:
        return number_of<arrow::UInt32Array>(array, i);
      case Type::UINT64:
        return number_of<arrow::UInt64Array>(array, i);
      case Type::FLOAT:
        return real(static_cast<const arrow::FloatArray&>(array).Value(i));
      case Type::DOUBLE:
        return real(static_cast<const arrow::DoubleArray&>(array).Value(i));
      case Type::STRING:
      case Type::BINARY:
        return text_of<arrow::BinaryArray>(array, i, row);
      case Type::LARGE_STRING:
      case Type::LARGE_BINARY:
        return text_of<arrow::LargeBinaryArray>(array, i, row);
      case Type::LIST:
        return list_of<arrow::ListArray>(array, i, row, feature);
      case Type::LARGE_LIST:
        return list_of<arrow::LargeListArray>(array, i, row, feature);
      case Type::FIXED_SIZE_LIST:
        return list_of<arrow::FixedSizeListArray>(array, i, row, feature);
      case Type::STRUCT:
        return struct_of(static_cast<const arrow::StructArray&>(array), i, row, feature);
      case Type::DICTIONARY: {
        const auto& encoded = static_cast<const arrow::DictionaryArray&>(array);
        return json_of(*encoded.dictionary(), encoded.GetValueIndex(i), row, feature);
      }
      default: {  // dates, decimals and the like as Arrow writes them
        const auto scalar = array.GetScalar(i);
        require(scalar.status());
        return checked((*scalar)->ToString(), row);
      }
    }
  }

  OrderedJson struct_of(const arrow::StructArray& array, int64_t i, size_t row, const ClassFeature* feature) {
    OrderedJson members = OrderedJson::object();
    for (int field = 0; field < array.num_fields(); ++field) {
      const std::string name = checked(array.struct_type()->field(field)->name(), row);
      members[name] = json_of(*array.field(field), i, row, feature == nullptr ? nullptr : feature_of(name, feature));
    }
    return members;
  }

  Table& table_;
  bool class_names_;
  ClassFeature features_;
  size_t bytes_ = 0, most_bytes_;
  arrow::CappedMemoryPool pool_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
};

}  // namespace

void read_parquet(Table& table, std::span<const std::byte> bytes, size_t max_rows, bool class_names) {
  try {
    ParquetReader(table, bytes, class_names).read(max_rows);
  } catch (const parquet::ParquetException& error) {
    const std::string what = error.what();
    fail(Code::bad_input, table.path.string(), "a readable parquet file", quote(what.substr(0, what.find('\n')), 200));
  }
}

}  // namespace dept
